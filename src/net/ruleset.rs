//! The text of hardrun's nftables rules.

use super::names::Names;

/// What `nft -f -` is given, once for as long as any container of the root has a network.
pub fn text(names: &Names) -> String {
    include_str!("ruleset.nft").replace("TABLE", &names.table).replace("PORTS", &names.ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names { table: "hardrun_0123456789ab".into(), ports: "hrabcdef".into() }
    }

    #[test]
    fn the_whole_text() {
        let rules: Vec<String> =
            text(&names()).lines().filter(|l| !l.trim_start().starts_with('#')).map(str::to_owned).collect();
        insta::assert_snapshot!(rules.join("\n"));
    }

    #[test]
    fn it_names_its_own_tables_only() {
        let text = text(&names());
        let tables: Vec<&str> = text.lines().filter(|l| l.starts_with("table ")).collect();
        assert_eq!(tables, ["table inet hardrun_0123456789ab {", "table bridge hardrun_0123456789ab {"]);
        assert!(!text.contains("TABLE") && text.contains("iifname \"hrabcdef*\" jump source"));
        assert!(!text.contains("flush") && !text.contains("delete"));
    }

    #[test]
    fn the_guard_of_loopback_stands_before_what_it_guards_against() {
        let text = text(&names());
        let guard = text.find("iifname != \"lo\" ip daddr 127.0.0.0/8 drop").unwrap();
        assert!(guard < text.find("jump source").unwrap());
        let incoming = &text[text.find("chain incoming").unwrap()..text.find("chain local").unwrap()];
        assert!(!incoming.contains("@loopback"), "loopback is for the output hook only");
    }
}
