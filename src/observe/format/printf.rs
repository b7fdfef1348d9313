//! Go's `Sprintf`: flags, width, precision, argument indexes, and the marks it leaves where format and arguments differ.

use super::print::{Spec, format, plain};
use super::value::Value;

/// As Go's own limit for a width or a precision.
const MOST: usize = 1_000_000;

struct Args<'a> {
    values: &'a [Value],
    at: usize,
    /// An index was given: Go then no longer complains about arguments left over.
    reordered: bool,
    /// The index last given was good.
    good: bool,
}

pub fn sprintf(pattern: &str, values: &[Value]) -> String {
    let mut args = Args { values, at: 0, reordered: false, good: true };
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        rest = verb(after, &mut args, &mut out);
    }
    out.push_str(rest);
    if !args.reordered && args.at < values.len() {
        let left: Vec<String> = values[args.at..].iter().map(extra).collect();
        out.push_str(&format!("%!(EXTRA {})", left.join(", ")));
    }
    out
}

fn extra(value: &Value) -> String {
    match value {
        Value::Null | Value::Absent(_) => "<nil>".into(),
        other => format!("{}={}", other.type_name(), plain(other)),
    }
}

/// One verb, of which the `%` is gone. Gives what comes after it.
fn verb<'t>(text: &'t str, args: &mut Args, out: &mut String) -> &'t str {
    let mut spec = Spec::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            '#' => spec.sharp = true,
            '0' => spec.zero = true,
            '+' => spec.plus = true,
            '-' => spec.minus = true,
            ' ' => spec.space = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    args.good = true;
    rest = args.index(rest);
    if let Some(after) = rest.strip_prefix('*') {
        rest = after;
        match args.integer() {
            Some(width) => {
                spec.minus |= width < 0;
                spec.width = Some(width.unsigned_abs() as usize);
            }
            None => out.push_str("%!(BADWIDTH)"),
        }
    } else {
        (spec.width, rest) = number(rest);
    }
    if let Some(after) = rest.strip_prefix('.') {
        rest = args.index(after);
        if let Some(after) = rest.strip_prefix('*') {
            rest = after;
            spec.precision = args.integer().and_then(|n| usize::try_from(n).ok());
            if spec.precision.is_none() {
                out.push_str("%!(BADPREC)");
            }
        } else {
            let given;
            (given, rest) = number(rest);
            spec.precision = Some(given.unwrap_or(0));
        }
    }
    rest = args.index(rest);
    let Some(verb) = rest.chars().next() else {
        out.push_str("%!(NOVERB)");
        return rest;
    };
    if verb == 'v' && (spec.plus || spec.sharp) {
        // Of `%#v`, Go's own syntax, docker's users see no more than this.
        spec = Spec { plus: false, sharp: false, names: true, ..spec };
    }
    if verb == '%' {
        out.push('%');
    } else if !args.good {
        out.push_str(&format!("%!{verb}(BADINDEX)"));
    } else {
        match args.next() {
            Some(value) => format(value, verb, &spec, out),
            None => out.push_str(&format!("%!{verb}(MISSING)")),
        }
    }
    &rest[verb.len_utf8()..]
}

impl<'a> Args<'a> {
    fn next(&mut self) -> Option<&'a Value> {
        let value = self.values.get(self.at)?;
        self.at += 1;
        Some(value)
    }

    /// For a `*`.
    fn integer(&mut self) -> Option<i64> {
        match self.next()? {
            Value::Int(n) if n.unsigned_abs() <= MOST as u64 => Some(*n),
            _ => None,
        }
    }

    /// `[2]`: the next argument is the second.
    fn index<'t>(&mut self, text: &'t str) -> &'t str {
        let Some(after) = text.strip_prefix('[') else { return text };
        self.reordered = true;
        let Some((index, rest)) = after.split_once(']') else {
            self.good = false;
            return after;
        };
        match index.parse::<usize>() {
            Ok(n) if (1..=self.values.len()).contains(&n) => self.at = n - 1,
            _ => self.good = false,
        }
        rest
    }
}

fn number(text: &str) -> (Option<usize>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits.parse().ok().filter(|n| *n <= MOST), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_prints() {
        let text = |s: &str| Value::text(s);
        let list = Value::list([text("a"), text("b c")]);
        for (pattern, values, wanted) in [
            ("%s|%5s|%-5s|%.2s", vec![text("x"), text("é"), text("y"), text("abc")], "x|    é|y    |ab"),
            (
                "%d %5d|%-5d|%05d|%+d|%x|%#X|%o|%b|%c",
                ints(&[1, 2, 3, -4, 5, 255, 255, 8, 5, 65]),
                "1     2|3    |-0004|+5|ff|0XFF|10|101|A",
            ),
            (
                "%q %q %v",
                vec![text("a\"b\n\x1b"), list.clone(), list.clone()],
                "\"a\\\"b\\n\\x1b\" [\"a\" \"b c\"] [a b c]",
            ),
            ("%d", vec![text("x")], "%!d(string=x)"),
            ("%s", vec![Value::Int(3)], "%!s(int=3)"),
            ("%s %s", vec![text("x")], "x %!s(MISSING)"),
            ("%s", vec![text("x"), Value::Int(1), Value::Null], "x%!(EXTRA int=1, <nil>)"),
            ("%", vec![], "%!(NOVERB)"),
            ("%[2]s %[1]s", vec![text("a"), text("b")], "b a"),
            ("%[3]s", vec![text("a")], "%!s(BADINDEX)"),
            ("%*d|%-*d|", ints(&[4, 7, 3, 8]), "   7|8  |"),
            ("100%%", vec![], "100%"),
            ("%v %s %t", vec![Value::Null, Value::Null, Value::Bool(true)], "<nil> %!s(<nil>) true"),
            ("%.2f %6.1f %e %g %v", floats(&[1.005, 2.25, 1234.5, 1e-7, 100.0]), "1.00    2.2 1.234500e+03 1e-07 100"),
            ("%T %x", vec![text("a"), text("hi")], "string 6869"),
            ("%! %!d", vec![Value::Int(1)], "%!!(int=1) %!!(MISSING)d"),
            (
                "%05s %05.1f %+d % x %#U",
                vec![text("a"), Value::Float(2.5), Value::Int(3), text("hi"), Value::Int(120)],
                "0000a 002.5 +3 68 69 U+0078 'x'",
            ),
        ] {
            assert_eq!(sprintf(pattern, &values), wanted, "{pattern}");
        }
    }

    fn ints(n: &[i64]) -> Vec<Value> {
        n.iter().map(|n| Value::Int(*n)).collect()
    }
    fn floats(f: &[f64]) -> Vec<Value> {
        f.iter().map(|f| Value::Float(*f)).collect()
    }
}
