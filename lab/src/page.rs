//! Parts of every HTML page: one self-contained file, for which a browser loads nothing else.

use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
    fs,
};

/// The style.
pub(crate) const STYLE: &str = include_str!("page/style.css");
/// The script that draws sequence diagrams. It is the first part of a page's script.
pub(crate) const DIAGRAM: &str = include_str!("page/diagram.js");
/// The script that shows the cell that the address names, and moves between cells. It is the last part.
pub(crate) const CELLS: &str = include_str!("page/cells.js");

/// The time of a run, and the machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The time of the run.
    pub at: Timestamp,
    /// A description of the machine.
    pub words: String,
}

impl Machine {
    /// The facts of this machine and the current time.
    #[must_use]
    pub fn here() -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or("unknown processor", |(_, model)| model.trim());
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let kernel = read("/proc/sys/kernel/osrelease");
        Machine {
            at: Timestamp::now(),
            words: format!("{processors} × {model}, Linux {}", kernel.trim()),
        }
    }

    /// The time of the run in words.
    pub(crate) fn time(&self) -> String {
        format!("{} UTC", self.at.strftime("%Y-%m-%d %H:%M"))
    }
}

/// Escapes text for HTML, between tags or in an attribute with double quotes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A buffer of HTML. Writing to a string cannot fail.
pub(crate) struct Html(String);

impl Html {
    /// An empty buffer.
    pub(crate) fn new() -> Html {
        Html(String::new())
    }

    pub(crate) fn raw(&mut self, html: impl Display) {
        let _written = write!(self.0, "{html}");
    }

    /// Writes an element with text only. `open` is its tag with its attributes.
    pub(crate) fn text(&mut self, open: &str, text: &str) {
        let tag = open.split(' ').next().unwrap_or_default();
        self.raw(format_args!("<{open}>{}</{tag}>", escape(text)));
    }

    /// Writes facts with their names as a list.
    pub(crate) fn facts(&mut self, facts: &[(&str, String)]) {
        self.raw("<dl>");
        for (name, value) in facts {
            self.raw(format_args!(
                "<div><dt>{name}</dt><dd>{}</dd></div>",
                escape(value)
            ));
        }
        self.raw("</dl>\n");
    }

    /// The HTML.
    pub(crate) fn done(self) -> String {
        self.0
    }
}

/// The texts of a page with their numbers. Most texts occur often, so each is stored once.
#[derive(Default)]
pub(crate) struct Texts {
    numbers: BTreeMap<String, usize>,
    all: Vec<String>,
}

impl Texts {
    /// The number of a text.
    pub(crate) fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.all.len();
        self.numbers.insert(text.to_owned(), number);
        self.all.push(text.to_owned());
        number
    }

    /// All texts, by number.
    pub(crate) fn all(self) -> Vec<String> {
        self.all
    }
}

/// Data as text for a `script` element: it can neither end the element nor begin a comment.
pub(crate) fn script_data(data: &Value) -> String {
    data.to_string().replace('<', "\\u003c")
}
