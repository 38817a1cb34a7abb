//! Pages as PDF: real text in Helvetica, and the symbol as rectangles.
//!
//! The address and the symbol are marked content, with tags that [`crate::reading`] looks for.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};

use super::layout::{Layout, Line, MODULE, Role};
use super::text;
use crate::barcode::ROW_HEIGHT;

/// The producer that our documents state.
pub(crate) const PRODUCER: &str = "Farthing postage";
/// The tag of the recipient's address.
pub(crate) const ADDRESS: &[u8] = b"Address";
/// The tag of the symbol.
pub(crate) const INDICIUM: &[u8] = b"Indicium";

const REGULAR: Name<'static> = Name(b"F1");
const BOLD: Name<'static> = Name(b"F2");

/// Writes a document with these pages.
pub(super) fn write(pages: &[Layout]) -> Vec<u8> {
    let [catalog, tree, regular, bold, about] = [1, 2, 3, 4, 5].map(Ref::new);
    let page_reference = |index: usize| Ref::new(i32::try_from(6 + 2 * index).unwrap_or(i32::MAX - 1));
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(tree);
    let count = i32::try_from(pages.len()).unwrap_or(i32::MAX);
    pdf.pages(tree)
        .kids((0..pages.len()).map(page_reference))
        .count(count);
    for (font, name) in [(regular, "Helvetica"), (bold, "Helvetica-Bold")] {
        pdf.type1_font(font)
            .base_font(Name(name.as_bytes()))
            .encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    pdf.document_info(about)
        .producer(TextStr(PRODUCER))
        .title(TextStr("Mail"));
    for (index, layout) in pages.iter().enumerate() {
        let id = page_reference(index);
        let content = Ref::new(id.get() + 1);
        let mut page = pdf.page(id);
        page.parent(tree)
            .media_box(Rect::new(0.0, 0.0, layout.width, layout.height))
            .contents(content);
        page.resources().fonts().pair(REGULAR, regular).pair(BOLD, bold);
        page.finish();
        pdf.stream(content, &draw(layout));
    }
    pdf.finish()
}

/// The drawing of one page.
fn draw(layout: &Layout) -> Vec<u8> {
    let mut content = Content::new();
    for [x, top, width, height] in &layout.rules {
        content
            .rect(*x, layout.height - top - height, *width, *height)
            .fill_nonzero();
    }
    let (address, notes): (Vec<&Line>, Vec<&Line>) =
        layout.lines.iter().partition(|line| line.role == Role::Address);
    for line in notes {
        show(&mut content, line, layout.height);
    }
    content.begin_marked_content(Name(ADDRESS));
    for line in address {
        show(&mut content, line, layout.height);
    }
    content.end_marked_content();

    let (left, top) = layout.corner;
    content.begin_marked_content(Name(INDICIUM)).save_state();
    content.transform([MODULE, 0.0, 0.0, -MODULE, left, layout.height - top]);
    for (row, x, length) in layout.symbol.runs() {
        content.rect(
            x as f32,
            (row * ROW_HEIGHT) as f32,
            length as f32,
            ROW_HEIGHT as f32,
        );
    }
    content.fill_nonzero().restore_state().end_marked_content();
    content.finish().to_vec()
}

fn show(content: &mut Content, line: &Line, page_height: f32) {
    content
        .begin_text()
        .set_font(if line.bold { BOLD } else { REGULAR }, line.size)
        .next_line(line.x, page_height - line.baseline)
        .show(Str(&text::bytes(&line.text)))
        .end_text();
}
