//! `--format` of `inspect`: an indented JSON array, a compact one, or a template that is tried over Go's structs first
//! and over the raw JSON where that fails.

use super::exec::Options;
use super::{Missing, Purpose, Template, Value, json};
use crate::error::{Error, Kind, Result};

/// A parsed `--format`.
#[derive(Debug)]
pub enum Inspect {
    Indented,
    /// `json`
    Compact,
    Template(Template),
}

impl Inspect {
    /// A template that cannot be parsed ends with exit status 64, as docker's client does.
    pub fn parse(format: Option<&str>) -> Result<Inspect> {
        match format.unwrap_or_default() {
            "" => Ok(Inspect::Indented),
            "json" => Ok(Inspect::Compact),
            text => match Template::parse(text) {
                Ok(template) => Ok(Inspect::Template(template)),
                Err(e) => Err(Error::new(Kind::TemplateSyntax, format!("template parsing error: {e}"))),
            },
        }
    }

    /// What goes to stdout for what was found, and what went wrong with which of it. `clean`: control characters are made
    /// visible, as they must be on a terminal; JSON has none.
    pub fn render(&self, found: &[Value], clean: bool) -> (String, Vec<Error>) {
        let all = || Value::list(found.iter().cloned());
        match self {
            Inspect::Indented => (json::indented(&all()) + "\n", Vec::new()),
            Inspect::Compact => (json::compact(&all()) + "\n", Vec::new()),
            Inspect::Template(template) => {
                let (mut out, mut errors) = (String::new(), Vec::new());
                for value in found {
                    match one(template, value, clean) {
                        Ok(text) => out.extend([text.as_str(), "\n"]),
                        Err(e) => errors.push(Error::verb(format!("template parsing error: {e}"))),
                    }
                }
                if out.is_empty() {
                    out.push('\n');
                }
                (out, errors)
            }
        }
    }
}

fn one(template: &Template, value: &Value, clean: bool) -> Result<String, String> {
    let typed = Options { missing: Missing::Absent, purpose: Purpose::Data, clean };
    let raw = Options { missing: Missing::Error, ..typed };
    template.render(value, typed).or_else(|_| template.render(&value.raw(), raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_formats() {
        let value = Value::from(serde_json::json!({"Id": "a\x1b"}));
        let show = |format: &str| Inspect::parse(Some(format)).unwrap().render(std::slice::from_ref(&value), true).0;
        assert_eq!(show(""), "[\n    {\n        \"Id\": \"a\\u001b\"\n    }\n]\n");
        assert_eq!(show("json"), "[{\"Id\":\"a\\u001b\"}]\n");
        assert_eq!(show("{{.Id}}\\t"), "a\\u{1b}\\t\n");
        assert_eq!(Inspect::parse(None).unwrap().render(&[], false).0, "[]\n");
        assert_eq!(Inspect::parse(Some("{{.")).unwrap_err().kind.exit_code(), 64);
    }

    #[test]
    fn one_that_fails_does_not_hide_the_others() {
        let values = [serde_json::json!({"a": 1}), serde_json::json!({}), serde_json::json!({"a": null})];
        let values = values.map(Value::from);
        let inspect = Inspect::parse(Some("{{.a}}")).unwrap();
        let (out, errors) = inspect.render(&values, false);
        assert_eq!(out, "1\n<no value>\n");
        assert_eq!(
            errors[0].to_string(),
            "template parsing error: template: :1:2: executing \"\" at <.a>: map has no entry for key \"a\""
        );
        assert_eq!(inspect.render(&values[1..2], false).0, "\n");
    }
}
