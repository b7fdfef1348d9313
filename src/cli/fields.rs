//! `--format` of listing verbs: `table`, `json`, and templates made of text and fields. Everything else that Go's templates
//! can do is an error that says so, never a wrong line.

use crate::error::{Error, Result};
use crate::ui;
use serde_json::{Map, Value};

/// A field of a listing.
pub struct Field<T> {
    /// As in `{{.Name}}`.
    pub name: &'static str,
    /// Of its column.
    pub heading: &'static str,
    pub value: fn(&T) -> String,
}

enum Piece {
    Text(String),
    /// Index into the fields; as JSON or not.
    Field(usize, bool),
    /// `{{json .}}`
    All,
}

/// A parsed format: the pieces of a line, and whether lines are columns under a heading.
pub struct Format {
    pieces: Vec<Piece>,
    table: bool,
}

impl Format {
    /// `columns` are those of a plain `table`.
    pub fn parse<T>(text: &str, fields: &[Field<T>], columns: &[&str]) -> Result<Format> {
        let template = match text {
            "table" => {
                format!("table {}", columns.iter().map(|c| format!("{{{{.{c}}}}}")).collect::<Vec<_>>().join("\t"))
            }
            "json" => "{{json .}}".into(),
            other => other.to_owned(),
        };
        let (table, line) = match template.strip_prefix("table ") {
            Some(line) => (true, line),
            None => (false, template.as_str()),
        };
        // In a shell `'{{.ID}}\t{{.Tag}}'` holds a backslash and a t; docker takes it for a tab.
        let line = line.replace("\\t", "\t").replace("\\n", "\n");
        Ok(Format { pieces: pieces(&line, fields)?, table })
    }
}

fn pieces<T>(line: &str, fields: &[Field<T>]) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, tail) =
            after.split_once("}}").ok_or_else(|| Error::verb(format!("unclosed action in {line:?}")))?;
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(piece(action, fields)?);
        rest = tail;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

fn piece<T>(action: &str, fields: &[Field<T>]) -> Result<Piece> {
    let words: Vec<&str> = action.split_whitespace().collect();
    let (json, operand) = match words.as_slice() {
        ["json", operand] => (true, *operand),
        [operand] => (false, *operand),
        _ => return Err(Error::verb(format!("{{{{{action}}}}} is more than a listing's template can do"))),
    };
    if json && operand == "." {
        return Ok(Piece::All);
    }
    let name = operand.strip_prefix('.').unwrap_or_default();
    let known = fields.iter().position(|f| f.name == name);
    known.map(|at| Piece::Field(at, json)).ok_or_else(|| {
        let names: Vec<&str> = fields.iter().map(|f| f.name).collect();
        Error::verb(format!("can't evaluate {{{{{action}}}}}")).hint(format!("the fields are {}", names.join(", ")))
    })
}

/// The whole listing. Text from images has its control characters made visible.
pub fn table<T>(format: &Format, fields: &[Field<T>], rows: &[T]) -> String {
    let mut lines: Vec<String> = Vec::with_capacity(rows.len() + 1);
    if format.table {
        lines.push(heading(format, fields));
    }
    lines.extend(rows.iter().map(|row| line(format, fields, row)));
    if format.table {
        return aligned(&lines);
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn heading<T>(format: &Format, fields: &[Field<T>]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Field(at, _) => fields[*at].heading.to_owned(),
        Piece::All => String::new(),
    };
    format.pieces.iter().map(text).collect()
}

fn line<T>(format: &Format, fields: &[Field<T>], row: &T) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Field(at, false) => ui::clean(&(fields[*at].value)(row)),
        Piece::Field(at, true) => Value::String((fields[*at].value)(row)).to_string(),
        Piece::All => {
            let all: Map<String, Value> =
                fields.iter().map(|f| (f.name.to_owned(), Value::String((f.value)(row)))).collect();
            Value::Object(all).to_string()
        }
    };
    format.pieces.iter().map(text).collect()
}

/// Columns as docker's: ten characters at least, three of them between columns.
fn aligned(lines: &[String]) -> String {
    let cells: Vec<Vec<&str>> = lines.iter().map(|line| line.split('\t').collect()).collect();
    let columns = cells.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| cells.iter().filter_map(|c| c.get(at)).map(|c| c.chars().count() + 3).max().unwrap_or(0).max(10))
        .collect();
    let mut out = String::new();
    for line in &cells {
        for (at, cell) in line.iter().enumerate() {
            out.push_str(cell);
            if at + 1 < line.len() {
                out.extend(std::iter::repeat_n(' ', widths[at] - cell.chars().count()));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field<(String, String)>] = &[
        Field { name: "ID", heading: "IMAGE ID", value: |r| r.0.clone() },
        Field { name: "Tag", heading: "TAG", value: |r| r.1.clone() },
    ];

    fn show(format: &str) -> Result<String> {
        let rows = [("1".to_owned(), "latest".to_owned()), ("2".to_owned(), "a\x1b[2Jlong-tag".to_owned())];
        Ok(table(&Format::parse(format, FIELDS, &["Tag", "ID"])?, FIELDS, &rows))
    }

    #[test]
    fn tables_json_and_templates() {
        let line = |a: &str, b: &str| format!("{a:21}{b}\n");
        let wanted = [line("TAG", "IMAGE ID"), line("latest", "1"), line("a\\u{1b}[2Jlong-tag", "2")];
        assert_eq!(show("table").unwrap(), wanted.concat());
        assert_eq!(show("{{.ID}}\\t{{ .Tag }}!").unwrap().lines().next(), Some("1\tlatest!"));
        assert_eq!(show("json").unwrap().lines().next(), Some(r#"{"ID":"1","Tag":"latest"}"#));
        assert_eq!(show("table {{.ID}}").unwrap().lines().next(), Some("IMAGE ID"));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for bad in ["{{.Nope}}", "{{range .}}", "{{.ID", "{{if .ID}}x{{end}}"] {
            assert!(show(bad).is_err(), "{bad}");
        }
    }
}
