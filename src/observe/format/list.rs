//! `--format` of the verbs that list: `table`, `table TEMPLATE`, `json`, a template; a line an entry.

use super::exec::Options;
use super::{Missing, Purpose, Template, Value, table};
use crate::error::{Error, Result};

/// A field of a listing.
pub struct Field<T> {
    /// As in `{{.Name}}`.
    pub name: &'static str,
    /// Of its column. Empty: the heading of `{{.Label "com.example.some-key"}}` is made of the key, `some key`.
    pub heading: &'static str,
    pub value: fn(&T) -> Value,
}

/// What a verb lists.
pub struct Columns<T: 'static> {
    /// Go's name of an entry's type, for errors: `*formatter.ContainerContext`.
    pub of: &'static str,
    pub fields: &'static [Field<T>],
}

/// A parsed `--format`.
#[derive(Debug)]
pub struct Listing {
    template: Template,
    table: bool,
}

impl Listing {
    /// No format is `table`, which shows the fields `columns`, or the field `quiet` alone where `-q` was given; other formats
    /// show what they say, `-q` or not.
    /// A template that cannot be parsed is an error with docker's exit status for listings, 1.
    pub fn parse(format: Option<&str>, columns: &[&str], quiet: Option<&str>) -> Result<Listing> {
        let format = format.filter(|f| !f.is_empty()).unwrap_or("table");
        let field = |name: &&str| format!("{{{{.{name}}}}}");
        let (is_table, text) = match (format, quiet) {
            ("table", Some(quiet)) => (false, field(&quiet)),
            ("table", None) => (true, columns.iter().map(field).collect::<Vec<_>>().join("\t")),
            ("json", _) => (false, "{{json .}}".to_owned()),
            (other, _) => match other.strip_prefix("table") {
                Some(template) => (true, template.to_owned()),
                None => (false, other.to_owned()),
            },
        };
        // In a shell `'{{.ID}}\t{{.Tag}}'` holds a backslash and a t; docker takes it for a tab.
        let text = text.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        let template = Template::parse(&text).map_err(|e| Error::verb(format!("template parsing error: {e}")))?;
        Ok(Listing { template, table: is_table })
    }

    /// Whether an entry needs this field: what is expensive to find out may be left empty otherwise.
    pub fn wants(&self, field: &str) -> bool {
        self.template.mentions(field)
    }

    /// The whole listing, each entry ending in a line break. `clean`: control characters in the entries are made
    /// visible, as they must be on a terminal. Where there is nothing to list, a field that does not exist is an error all the same.
    pub fn render<T>(&self, columns: &Columns<T>, rows: &[T], clean: bool) -> Result<String> {
        let data = Options { missing: Missing::Absent, purpose: Purpose::Data, clean };
        let wrong = |e: String| Error::verb(format!("template parsing error: {e}"));
        let mut out = String::new();
        if rows.is_empty() && !self.table {
            self.rehearse(columns).map_err(wrong)?;
        }
        if self.table {
            out.push_str(&self.heading(columns, rows.is_empty()).map_err(wrong)?);
            out.push('\n');
        }
        for row in rows {
            let row = Value::row(columns.of, columns.fields.iter().map(|f| (f.name, (f.value)(row))));
            out.push_str(&self.template.render(&row, data).map_err(wrong)?);
            out.push('\n');
        }
        Ok(if self.table { table::align(&out) } else { out })
    }

    fn rehearse<T>(&self, columns: &Columns<T>) -> Result<(), String> {
        let known: Vec<&str> = columns.fields.iter().map(|f| f.name).collect();
        self.template.rehearse(columns.of, &known)
    }

    /// Where there are entries, they have said whether the template is right: like docker's, the heading then ends where a
    /// function does not take it. Without entries the heading is all there is, so that a field that does not exist is
    /// an error in either case.
    fn heading<T>(&self, columns: &Columns<T>, alone: bool) -> Result<String, String> {
        let heading = |f: &Field<T>| match f.heading {
            "" => Value::Lookup(Default::default()),
            heading => Value::text(heading),
        };
        let names = columns.fields.iter().map(|f| (f.name.to_owned(), heading(f)));
        let data = Value::map(names.collect());
        let options = Options { missing: Missing::Absent, purpose: Purpose::Heading, clean: false };
        if alone && self.template.render(&data, options).is_err_and(|e| e.contains("map has no entry")) {
            return self.template.render(&data, options);
        }
        Ok(self.template.render_what_can_be(&data, options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    struct Row(&'static str, &'static str);

    const COLUMNS: Columns<Row> = Columns {
        of: "*row",
        fields: &[
            Field { name: "Tag", heading: "TAG", value: |r| r.1.into() },
            Field { name: "ID", heading: "IMAGE ID", value: |r| r.0.into() },
            Field { name: "Label", heading: "", value: |_| Value::Lookup(Rc::new([("k".into(), "v".into())].into())) },
        ],
    };

    fn show(format: &str, rows: &[Row], clean: bool) -> Result<String> {
        Listing::parse(Some(format), &["Tag", "ID"], None)?.render(&COLUMNS, rows, clean)
    }

    #[test]
    fn tables_json_and_templates() {
        let rows = [Row("1", "latest"), Row("2", "a\x1b[2Jlong-tag")];
        let line = |a: &str, b: &str| format!("{a:21}{b}\n");
        let wanted = [line("TAG", "IMAGE ID"), line("latest", "1"), line("a\\u{1b}[2Jlong-tag", "2")];
        assert_eq!(show("table", &rows, true).unwrap(), wanted.concat());
        assert_eq!(show("", &rows, true).unwrap(), wanted.concat());
        assert_eq!(show("{{.ID}}\\t{{ .Tag }}!\\n", &rows[..1], true).unwrap(), "1\tlatest!\n\n");
        assert_eq!(show("{{.Tag}}", &rows[1..], false).unwrap(), "a\x1b[2Jlong-tag\n");
        assert_eq!(show("json", &rows[..1], false).unwrap(), "{\"ID\":\"1\",\"Tag\":\"latest\"}\n");
        assert_eq!(show("table {{.ID}}", &rows[..1], false).unwrap(), "IMAGE ID\n1\n");
        assert_eq!(
            show("table {{upper .Tag}}|{{json .ID}}", &rows[..1], false).unwrap(),
            "TAG|IMAGE ID\nLATEST|\"1\"\n"
        );
        for (format, wanted) in [("", "1\n2\n"), ("table", "1\n2\n"), ("{{.ID}}!", "1!\n2!\n")] {
            let quiet = Listing::parse(Some(format), &["Tag"], Some("ID")).unwrap();
            assert_eq!(quiet.render(&COLUMNS, &rows, false).unwrap(), wanted);
        }
        assert_eq!(show("table", &[], false).unwrap(), "TAG       IMAGE ID\n");
        assert_eq!(
            show("{{.Tag}}{{range $x := .ID}}{{.Of}}{{end}}{{with .Tag}}{{.Of}}{{end}}", &[], false).unwrap(),
            ""
        );
    }

    #[test]
    fn labels_are_headings() {
        let shown = show("table {{.ID}} {{.Label \"k\"}} {{.Label \"x.a-b_c\"}}", &[Row("1", "t")], false).unwrap();
        assert_eq!(shown, "IMAGE ID k a b c\n1 v \n");
        // A function that does not take a heading ends it.
        let shown = show("table {{.ID}} {{json .}} {{.Tag}}", &[Row("1", "<")], false).unwrap();
        assert_eq!(shown, "IMAGE ID \n1 {\"ID\":\"1\",\"Tag\":\"\\u003c\"} <\n");
        assert_eq!(show("{{.Label \"nope\"}}|", &[Row("1", "t")], false).unwrap(), "|\n");
    }

    #[test]
    fn what_does_not_exist_is_an_error() {
        let rows = [Row("1", "t")];
        for (format, rows, words) in [
            (
                "{{.Nope}}",
                &rows[..],
                "template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *row",
            ),
            (
                "{{.Tag}}{{if (eq .Nope 1)}}{{end}}",
                &[],
                "template: :1:17: executing \"\" at <.Nope>: can't evaluate field Nope in type *row",
            ),
            (
                "{{range .Tag}}{{$.Nope}}{{end}}",
                &[],
                "template: :1:17: executing \"\" at <$.Nope>: can't evaluate field Nope in type *row",
            ),
            ("table {{.Nope}}", &[], "template: :1:2: executing \"\" at <.Nope>: map has no entry for key \"Nope\""),
            (
                "{{.Label}}",
                &rows,
                "template: :1:2: executing \"\" at <.Label>: wrong number of args for Label: want 1 got 0",
            ),
            ("{{.ID", &rows, "template: :1: unclosed action"),
        ] {
            let error = show(format, rows, false).unwrap_err();
            assert_eq!(error.to_string(), format!("template parsing error: {words}"));
            assert_eq!(error.kind.exit_code(), 1);
        }
    }
}
