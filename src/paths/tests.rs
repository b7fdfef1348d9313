use super::*;

#[test]
fn an_access_is_letters_in_one_order() {
    assert_eq!(Access::parse("xlkwrm").unwrap().to_string(), "mrwklx");
    assert_eq!(Access::parse("rix").unwrap().allowing(), "rix");
    for bad in ["", "q", "a", "px", "Ux", "r w"] {
        assert!(Access::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_pattern_is_absolute_and_closed() {
    for good in ["/", "/a/**", "/{a,b}/{,**}", "@{PROC}/{[^1-9],[^1-9][^0-9]}/** w", "/a b"] {
        Pattern::parse(good).unwrap();
    }
    for bad in
        ["", "a", "/a/../b", "/./a", "/{a", "/a}", "/[a", "/a]", "@{NO}/a", "@{PROC", "/[z-a]", "/[]", "/a\"b", "/a\nb"]
    {
        assert!(Pattern::parse(bad).is_err(), "{bad:?}");
    }
    assert!(Pattern::parse(&"/{a,b}".repeat(20)).is_err(), "two to the twentieth");
}

#[test]
fn sockets_and_further_rules_are_from_a_closed_set() {
    for good in ["inet tcp", "raw", "packet", "inet6"] {
        SocketRule::parse(good).unwrap();
    }
    for bad in ["", "inet tcp x", "tcp inet", "inet,\n  capability sys_admin"] {
        assert!(SocketRule::parse(bad).is_err(), "{bad}");
    }
    assert!(AppArmorRule::parse("deny mount").unwrap().denies());
    for bad in ["", "file", "deny", "mount options=rw", "audit deny deny mount", "capability sys_admin"] {
        assert!(AppArmorRule::parse(bad).is_err(), "{bad}");
    }
}
