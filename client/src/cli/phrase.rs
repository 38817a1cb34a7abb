//! Finds the 24 words in what a person typed, pasted or saved.

use zeroize::Zeroizing;

/// The number of words of a wallet.
const WORDS: usize = 24;

/// The words in a text, one space between them.
///
/// The words numbered 1 to 24 are taken if all are there. So the text that `init` prints can be given as it is: numbers,
/// punctuation, lines and the prose around the words do not matter. Otherwise all words are taken.
pub(super) fn words_in(text: &str) -> Zeroizing<String> {
    let tokens = tokens(text);
    let words = numbered(&tokens).unwrap_or_else(|| words(&tokens));
    Zeroizing::new(words.join(" ").to_lowercase())
}

/// Whether no more lines are needed: the words numbered 1 to 24 are there, or 24 words without any number.
pub(super) fn is_complete(text: &str) -> bool {
    let tokens = tokens(text);
    let words = words(&tokens);
    numbered(&tokens).is_some() || (words.len() >= WORDS && words.len() == tokens.len())
}

/// How many words a text has.
pub(super) fn count(text: &str) -> usize {
    words(&tokens(text)).len()
}

fn tokens(text: &str) -> Vec<&str> {
    let parts = text.split(|c: char| !c.is_alphanumeric());
    parts.filter(|part| !part.is_empty()).collect()
}

fn words<'t>(tokens: &[&'t str]) -> Vec<&'t str> {
    let words = tokens.iter().filter(|token| number(token).is_none());
    words.copied().collect()
}

fn number(token: &str) -> Option<usize> {
    token.parse().ok()
}

/// The words after the numbers 1 to 24. A number in the prose, as in "24 words", is not followed by the next one.
fn numbered<'t>(tokens: &[&'t str]) -> Option<Vec<&'t str>> {
    tokens.windows(2 * WORDS).find_map(|run| {
        let pairs = run.chunks_exact(2).zip(1..);
        let word = |(pair, wanted): (&[&'t str], usize)| match pair {
            [first, word] if number(first) == Some(wanted) && number(word).is_none() => Some(*word),
            _ => None,
        };
        pairs.map(word).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: [&str; WORDS] = [
        "abandon", "ability", "able", "about", "above", "absent", "absorb", "abstract", "absurd", "abuse",
        "access", "accident", "account", "accuse", "achieve", "acid", "acoustic", "acquire", "across", "act",
        "action", "actor", "actress", "actual",
    ];

    fn numbered_list(separator: &str) -> String {
        let numbered: Vec<String> = (1..)
            .zip(LIST)
            .map(|(number, word): (usize, &str)| format!("{number}{separator}{word}"))
            .collect();
        numbered.join("\n ")
    }

    #[test]
    fn numbered_words_are_found_in_any_text() {
        let plain = LIST.join(" ");
        for separator in [". ", ".", ") ", " ", ": "] {
            let list = numbered_list(separator);
            for text in [
                list.clone(),
                format!("1. First, write these 24 words down:\n\n{list}\n\nNext: take 1 card and 2 banks."),
            ] {
                assert_eq!(words_in(&text).as_str(), plain, "{text}");
                assert!(is_complete(&text));
            }
        }
        assert_eq!(words_in(&LIST.join("\n").to_uppercase()).as_str(), plain);
        assert_eq!(words_in(&LIST.join(", ")).as_str(), plain);
    }

    #[test]
    fn lines_are_asked_for_until_there_are_all_words() {
        let (first, rest) = LIST.split_at(10);
        assert!(!is_complete(&first.join(" ")));
        assert_eq!(count(&first.join(" ")), 10);
        assert!(is_complete(&format!("{}\n{}", first.join(" "), rest.join("\n"))));
        let list = numbered_list(". ");
        let prose = "There is a new wallet in /home/alice. Write these 24 words down, on paper. They are shown only now. \
                     Anyone who has them can take the money of this wallet.";
        assert!(
            !is_complete(prose),
            "more than 24 words, and none of the wallet's"
        );
        assert!(!is_complete(list.rsplit_once(' ').unwrap().0));
        assert!(is_complete(&format!("{prose}\n{list}")));
    }
}
