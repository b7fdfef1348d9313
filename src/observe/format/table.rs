//! Columns as docker's tables have them.

/// A column's least width, and the blanks after its widest cell.
const LEAST: usize = 10;
const PADDING: usize = 3;

/// Text whose cells end with tabs, aligned. A column is a run of lines that have it: a line without tabs between them
/// ends it, and what is after a line's last tab belongs to none.
pub fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![LEAST; cells.len() - 1]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut start = 0;
        while start < lines.len() {
            let run = widths[start..].iter().take_while(|w| w.len() > column).count();
            let cells = &lines[start..start + run];
            let widest = cells.iter().map(|cells| cells[column].chars().count() + PADDING).max().unwrap_or(0);
            for width in &mut widths[start..start + run] {
                width[column] = width[column].max(widest);
            }
            start += run.max(1);
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (at, (cells, widths)) in lines.iter().zip(&widths).enumerate() {
        if at > 0 {
            out.push('\n');
        }
        for (column, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(column) {
                out.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::align;

    #[test]
    fn columns_are_runs_of_lines() {
        assert_eq!(align("A\tB\nlonger than ten\tx\n"), "A                 B\nlonger than ten   x\n");
        // Nothing after the last tab counts, and a line without tabs starts the columns anew.
        assert_eq!(
            align("a\tlong long long long\n-\nlonger than ten\tb"),
            "a         long long long long\n-\nlonger than ten   b"
        );
        assert_eq!(align("é\t\tx"), "é                   x");
    }
}
