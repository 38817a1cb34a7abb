//! Every bound of a page has its own error, and what is inside of the bounds is printed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod kit;

use farthing_postage::barcode::{BarcodeError, MAX_INDICIUM};
use farthing_postage::page::{self, Format, MAX_FIELD, MAX_LINE, MAX_LINES, Mailpiece, PageError};

#[track_caller]
fn refused(change: impl Fn(&mut Mailpiece)) -> PageError {
    let mut mail = kit::piece(1, 180);
    change(&mut mail);
    let error = page::pdf(&[mail.clone()], Format::Dl)
        .map(|file| file.len())
        .unwrap_err();
    assert_eq!(page::svg(&mail, Format::Dl).unwrap_err(), error);
    assert_eq!(
        page::png(&mail, Format::Dl, 300)
            .map(|file| file.len())
            .unwrap_err(),
        error
    );
    error
}

#[test]
fn too_many_lines_and_characters_are_refused() {
    let (lines, long) = (vec!["x".to_owned(); MAX_LINES + 1], |characters: usize| {
        "i".repeat(characters)
    });
    assert_eq!(refused(|mail| mail.to.clear()), PageError::NoAddress);
    assert_eq!(
        refused(|mail| mail.to = lines.clone()),
        PageError::TooManyLines {
            field: "address",
            lines: MAX_LINES + 1
        }
    );
    assert_eq!(
        refused(|mail| mail.from = lines.clone()),
        PageError::TooManyLines {
            field: "sender's address",
            lines: MAX_LINES + 1
        }
    );
    assert_eq!(
        refused(|mail| mail.to[1] = long(MAX_LINE + 1)),
        PageError::TooLong {
            field: "address",
            characters: MAX_LINE + 1,
            limit: MAX_LINE
        }
    );
    let too_long = |field| PageError::TooLong {
        field,
        characters: MAX_FIELD + 1,
        limit: MAX_FIELD,
    };
    assert_eq!(
        refused(|mail| mail.class = long(MAX_FIELD + 1)),
        too_long("class")
    );
    assert_eq!(
        refused(|mail| mail.value = long(MAX_FIELD + 1)),
        too_long("value")
    );
    assert_eq!(refused(|mail| mail.date = long(MAX_FIELD + 1)), too_long("date"));
    assert_eq!(
        refused(|mail| mail.meter = long(MAX_FIELD + 1)),
        too_long("meter")
    );
    let wide = "@".repeat(MAX_LINE);
    let error = PageError::TooWide {
        field: "sender",
        text: wide.clone(),
    };
    assert_eq!(refused(|mail| mail.from[0] = wide.clone()), error);
}

#[test]
fn characters_without_a_letter_are_refused() {
    for (text, character) in [
        ("Łódź", 'Ł'),
        ("a\nb", '\n'),
        ("soft\u{AD}hyphen", '\u{AD}'),
        ("\u{7F}", '\u{7F}'),
    ] {
        let error = PageError::Character {
            field: "address",
            character,
        };
        assert_eq!(refused(|mail| mail.to[0] = text.to_owned()), error);
    }
    assert_eq!(
        refused(|mail| mail.to[0] = " ".to_owned()),
        PageError::Blank("address")
    );
    assert_eq!(
        refused(|mail| mail.value = String::new()),
        PageError::Blank("value")
    );
}

#[test]
fn an_indicium_has_a_size() {
    assert_eq!(
        refused(|mail| mail.indicium.clear()),
        PageError::Barcode(BarcodeError::Empty)
    );
    let error = PageError::Barcode(BarcodeError::TooLong(MAX_INDICIUM + 1));
    assert_eq!(refused(|mail| mail.indicium = vec![0; MAX_INDICIUM + 1]), error);
}

#[test]
fn documents_and_pictures_have_bounds() {
    assert_eq!(page::pdf(&[], Format::Dl), Err(PageError::NoPages));
    let many = vec![kit::piece(1, 10); page::MAX_PAGES + 1];
    assert_eq!(
        page::pdf(&many, Format::Dl),
        Err(PageError::TooManyPages(page::MAX_PAGES + 1))
    );
    for dpi in [0, page::MIN_DPI - 1, page::MAX_DPI + 1, u32::MAX] {
        assert_eq!(
            page::png(&kit::piece(1, 10), Format::C4, dpi),
            Err(PageError::Dpi(dpi))
        );
    }
}

/// The fullest mail is printed in every format, and at the largest resolution.
#[test]
fn the_largest_mail_fits() {
    let line = format!(
        "{}{}",
        "The Honourable Ms Wilhelmina ",
        "Example Street 123 x".repeat(2)
    )
    .chars()
    .take(MAX_LINE)
    .collect::<String>();
    let mail = Mailpiece {
        from: vec!["A sender with twenty-nine letter".to_owned(); MAX_LINES],
        to: vec![line; MAX_LINES],
        class: "REGISTERED INTERNATIONAL".to_owned(),
        value: "1,234,567.89 farthings".to_owned(),
        date: "30 September 2026".to_owned(),
        meter: "0123456789ABCDEF01234567".to_owned(),
        sequence: u64::MAX,
        indicium: kit::bytes(1, MAX_INDICIUM),
    };
    for format in Format::ALL {
        page::pdf(std::slice::from_ref(&mail), format).unwrap();
        let picture = page::picture(&mail, format, page::MAX_DPI).unwrap();
        let (width, height) = format.size();
        let expected = [width, height].map(|side| (side / 72.0 * page::MAX_DPI as f32).round() as usize);
        assert_eq!([picture.width(), picture.height()], expected, "{format}");
    }
}

#[test]
fn formats_are_known_by_their_names() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let error = "a3".parse::<Format>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no format `a3`; the formats are dl, c5, c4, no10, label-a6, label-4x6"
    );
}

#[test]
fn a_page_is_the_same_each_time() {
    let mail = kit::piece(1, 180);
    let pages = || page::pdf(std::slice::from_ref(&mail), Format::Dl).unwrap();
    assert_eq!(pages(), pages());
}

#[test]
fn text_cannot_leave_its_place_in_an_svg() {
    let mut mail = kit::piece(1, 180);
    mail.to[0] = "<script>&\"'</script>".to_owned();
    let svg = page::svg(&mail, Format::Dl).unwrap();
    assert!(
        svg.contains(">&lt;script&gt;&amp;\"'&lt;/script&gt;</text>"),
        "{svg}"
    );
    assert!(!svg.contains("<script"));
}
