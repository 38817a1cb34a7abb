//! The report of the demonstration. People get lines while it runs and a table at its end. Programs get one JSON value.

use super::amount::amount;
use super::audit::DemoAudit;
use farthing_node::table::{Align, table};
use farthing_node::terminal::print_text;
use farthing_protocol::money::Amount;
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// The width of the text lines (characters).
const WIDTH: usize = 100;

/// The indentation of a line's text (characters).
const INDENT: usize = 11;

/// The reader of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A person, who reads while it runs.
    Person,
    /// A program, which gets one value at the end.
    Program,
}

/// The subject of a line of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// The request.
    Sent,
    /// The lost message or the killed process.
    Lost,
    /// The content of the nodes' own books.
    Books,
    /// The action of the wallet.
    Wallet,
    /// The end of the step.
    Ended,
}

impl Label {
    fn word(self) -> &'static str {
        match self {
            Label::Sent => "sent",
            Label::Lost => "lost",
            Label::Books => "books",
            Label::Wallet => "wallet",
            Label::Ended => "ended",
        }
    }
}

/// The summary of a step, for the table.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The lost message or the killed process.
    pub lost: String,
    /// What the server had done before the wallet asked again.
    pub acted: String,
    /// The action of the wallet.
    pub wallet: String,
    /// The customer's cost.
    pub charged: Amount,
    /// The end of the step.
    pub ended: String,
    /// The measurements, for programs.
    pub facts: Value,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    title: &'static str,
    lines: Vec<(Label, String)>,
    began: Instant,
    took: Duration,
    summary: Option<Summary>,
}

/// The report of a running demonstration.
#[derive(Debug)]
pub struct DemoReport {
    reader: Reader,
    began: Instant,
    steps: Vec<Step>,
}

impl DemoReport {
    /// An empty report.
    pub fn new(reader: Reader) -> DemoReport {
        DemoReport {
            reader,
            began: Instant::now(),
            steps: Vec::new(),
        }
    }

    /// Prints text for a person.
    pub fn say(&self, text: &str) {
        if self.reader == Reader::Person {
            // The demonstration continues after the pipe is closed.
            print_text(text);
        }
    }

    /// Begins a step. The first has the number 0.
    pub fn begin(&mut self, name: &'static str, title: &'static str) {
        self.say(&format!("\n{}  {title}", self.steps.len()));
        let began = Instant::now();
        self.steps.push(Step {
            name,
            title,
            lines: Vec::new(),
            began,
            took: Duration::ZERO,
            summary: None,
        });
    }

    /// Adds a line to the current step.
    pub fn line(&mut self, label: Label, text: impl Into<String>) {
        let text = text.into();
        self.say(&hanging(label.word(), &text));
        if let Some(step) = self.steps.last_mut() {
            step.lines.push((label, text));
        }
    }

    /// Ends the current step.
    pub fn end(&mut self, summary: Summary) {
        if let Some(step) = self.steps.last_mut() {
            step.took = step.began.elapsed();
            step.summary = Some(summary);
        }
    }

    /// Prints the table, the audit and the success.
    pub fn finish(&self, audit: &DemoAudit) {
        self.say(&format!("\n{}\n\n{}", self.table(), audit.text()));
        let seconds = self.began.elapsed().as_secs_f32();
        self.say(&format!(
            "\nEverything agrees to the unit. {seconds:.1} s; every process is stopped."
        ));
    }

    /// The whole report as JSON.
    pub fn json(&self, audit: Option<&DemoAudit>, error: Option<&str>) -> Value {
        let mut object = Map::new();
        object.insert("ok".into(), Value::Bool(error.is_none() && audit.is_some()));
        if let Some(error) = error {
            object.insert("error".into(), error.into());
        }
        object.insert(
            "seconds".into(),
            json!(self.began.elapsed().as_millis() as f64 / 1000.0),
        );
        object.insert("steps".into(), (0..).zip(&self.steps).map(step_json).collect());
        object.insert("audit".into(), audit.map_or(Value::Null, DemoAudit::json));
        Value::Object(object)
    }

    fn table(&self) -> String {
        let columns = [
            ("", Align::Left),
            ("WHAT WENT WRONG", Align::Left),
            ("OTHER SIDE HAD", Align::Left),
            ("THE WALLET", Align::Left),
            ("CHARGED", Align::Right),
            ("ENDED", Align::Left),
        ];
        let rows = (0..).zip(&self.steps).filter_map(|(number, step): (usize, _)| {
            let summary = step.summary.as_ref()?;
            Some([
                number.to_string(),
                summary.lost.clone(),
                summary.acted.clone(),
                summary.wallet.clone(),
                summary.charged.to_string(),
                summary.ended.clone(),
            ])
        });
        table(columns, &rows.collect::<Vec<[String; 6]>>())
    }
}

fn step_json((number, step): (usize, &Step)) -> Value {
    let lines: Vec<Value> = step
        .lines
        .iter()
        .map(|(label, text)| json!({ "about": label.word(), "text": text }))
        .collect();
    let mut object = json!({
        "number": number,
        "name": step.name,
        "title": step.title,
        "milliseconds": step.took.as_millis() as u64,
        "lines": lines,
        "done": step.summary.is_some(),
    });
    if let (Some(summary), Some(object)) = (&step.summary, object.as_object_mut()) {
        object.insert("lost".into(), summary.lost.clone().into());
        object.insert("other_side_had".into(), summary.acted.clone().into());
        object.insert("wallet".into(), summary.wallet.clone().into());
        object.insert("charged".into(), amount(summary.charged));
        object.insert("ended".into(), summary.ended.clone().into());
        object.insert("facts".into(), summary.facts.clone());
    }
    object
}

/// Formats a labelled text with a hanging indent, wrapped between words.
fn hanging(label: &str, text: &str) -> String {
    let mut lines = vec![format!("   {label:<width$}", width = INDENT - 3)];
    let mut fresh = true;
    for word in text.split(' ') {
        let room = lines
            .last()
            .is_some_and(|line| line.chars().count() + 1 + word.chars().count() <= WIDTH);
        if !room && !fresh {
            lines.push(" ".repeat(INDENT));
            fresh = true;
        }
        if let Some(line) = lines.last_mut() {
            if !fresh {
                line.push(' ');
            }
            line.push_str(word);
        }
        fresh = false;
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_wrapped_between_words_and_indented() {
        let text = "word ".repeat(60);
        let broken = hanging("books", text.trim());
        let lines: Vec<&str> = broken.lines().collect();
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines[0].starts_with("   books   word"), "{}", lines[0]);
        assert!(lines[1].starts_with(&format!("{}word", " ".repeat(INDENT))));
        assert_eq!(broken.matches("word").count(), 60);
    }

    #[test]
    fn the_json_has_the_steps_even_after_an_error() {
        let mut report = DemoReport::new(Reader::Program);
        report.begin("one", "The first step");
        report.line(Label::Sent, "something");
        let value = report.json(None, Some("broken: x"));
        assert_eq!(value["ok"], false);
        assert_eq!(value["error"], "broken: x");
        assert_eq!(value["steps"][0]["lines"][0]["about"], "sent");
        assert_eq!(value["steps"][0]["done"], false);
    }
}
