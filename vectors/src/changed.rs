//! The cases that a later version changed on purpose.

use crate::{claims::Claims, files::folder};
use serde::Deserialize;

/// One entry of `changed.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    file: String,
    section: String,
    /// The case's name. A `*` at its end stands for any rest.
    case: String,
    /// The claim that no longer holds. Absent if the case as a whole no longer holds.
    claim: Option<String>,
    /// The reason, in one line.
    why: String,
    #[serde(skip)]
    used: bool,
}

impl Entry {
    fn is_for(&self, file: &str, section: &str, case: &str) -> bool {
        let named = match self.case.strip_suffix('*') {
            Some(start) => case.starts_with(start),
            None => self.case == case,
        };
        self.file == file && self.section == section && named
    }
}

/// All entries of a version's `changed.json`.
#[derive(Debug)]
pub(crate) struct Changed(Vec<Entry>);

impl Changed {
    /// Reads the list of `version`. A missing list is empty.
    pub(crate) fn read(version: &str) -> Self {
        let path = folder(version).join("changed.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            return Self(Vec::new());
        };
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let entries: Vec<Entry> = serde_json::from_str(text).unwrap_or_else(|e| panic!("changed.json: {e}"));
        let reasoned = entries.iter().all(|entry| !entry.why.trim().is_empty());
        assert!(reasoned, "each entry of changed.json says why");
        Self(entries)
    }

    /// The wrong claims of a case: unlisted claims that do not hold, and listed claims that hold.
    pub(crate) fn compare(&mut self, file: &str, section: &str, case: &str, claims: &Claims) -> Vec<String> {
        if claims.is_empty() {
            return vec!["nothing was checked".into()];
        }
        let mut listed: Vec<&mut Entry> = self.0.iter_mut().collect();
        listed.retain(|entry| entry.is_for(file, section, case));
        let failing = |claim: Option<&String>| {
            let mut all = claims.iter();
            all.any(|(name, result)| result.is_err() && claim.is_none_or(|claim| claim == name))
        };
        let mut faults = Vec::new();
        for entry in &mut listed {
            entry.used = true;
            if !failing(entry.claim.as_ref()) {
                let claim = entry.claim.as_deref().unwrap_or("anything");
                faults.push(format!("listed in changed.json, but {claim} has not changed"));
            }
        }
        if listed.iter().any(|entry| entry.claim.is_none()) {
            return faults;
        }
        for (name, result) in claims.iter() {
            let is_listed = listed.iter().any(|entry| entry.claim.as_deref() == Some(name));
            if let (Err(why), false) = (result, is_listed) {
                faults.push(format!("{name}: {why}"));
            }
        }
        faults
    }

    /// The entries for `checked` sections that match no case.
    pub(crate) fn unused(self, checked: impl Fn(&str, &str) -> bool) -> Vec<String> {
        let entries = self.0.into_iter().filter(|entry| !entry.used);
        let entries = entries.filter(|entry| checked(&entry.file, &entry.section));
        let say = |entry: Entry| {
            let Entry {
                file, section, case, ..
            } = entry;
            format!("{file}, {section}, {case}: listed in changed.json, but this case does not exist")
        };
        entries.map(say).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(made: &[(&str, bool)]) -> Claims {
        let mut claims = Claims::default();
        for (name, holds) in made {
            claims.holds(*name, *holds);
        }
        claims
    }

    fn faults(list: &str, made: &[(&str, bool)]) -> usize {
        let mut changed = Changed::parse(list);
        let found = changed.compare("f", "s", "a case", &claims(made)).len();
        found + changed.unused(|_, _| true).len()
    }

    #[test]
    fn an_unlisted_claim_has_to_hold() {
        assert_eq!(faults("[]", &[("x", true), ("y", true)]), 0);
        assert_eq!(faults("[]", &[("x", true), ("y", false)]), 1);
        assert_eq!(faults("[]", &[]), 1);
    }

    #[test]
    fn a_listed_claim_must_not_hold_and_the_others_still_have_to() {
        let list = r#"[{"file": "f", "section": "s", "case": "a c*", "claim": "x", "why": "new"}]"#;
        assert_eq!(faults(list, &[("x", false), ("y", true)]), 0);
        assert_eq!(faults(list, &[("x", true), ("y", true)]), 1);
        assert_eq!(faults(list, &[("x", false), ("y", false)]), 1);
    }

    #[test]
    fn a_case_that_is_listed_as_a_whole_must_not_hold_as_a_whole() {
        let list = r#"[{"file": "f", "section": "s", "case": "a case", "why": "new"}]"#;
        assert_eq!(faults(list, &[("x", false), ("y", true)]), 0);
        assert_eq!(faults(list, &[("x", true), ("y", true)]), 1);
    }

    #[test]
    fn an_entry_without_a_case_is_found() {
        let list = r#"[{"file": "f", "section": "s", "case": "another", "why": "new"}]"#;
        assert_eq!(faults(list, &[("x", true)]), 1);
    }
}
