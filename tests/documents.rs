//! What the pages name is there.

/// SECURITY.md says for each promise which group of integration cases tries it.
#[test]
fn groups_that_security_names_are_there() {
    let mut sources = String::new();
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("integration/cases")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => sources.push_str(&std::fs::read_to_string(path).unwrap()),
            }
        }
    }
    let page = include_str!("../SECURITY.md");
    let mut named = 0;
    for cell in page.split("`integration`: ").skip(1) {
        for group in cell.split(" |").next().unwrap().split(", ") {
            let is = |end: &str| sources.contains(&format!("cases!(\"{group}{end}"));
            assert!(is("\"") || is("::"), "no case is in a group {group:?}");
            named += 1;
        }
    }
    assert!(named > 10, "{named} groups");
}
