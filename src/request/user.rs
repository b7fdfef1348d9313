//! `--user name|uid[:group|gid]`

use std::str::FromStr;

/// Split, not looked up: names are the image's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    /// As typed: what `image::users::resolve` takes.
    pub typed: String,
    pub user: String,
    pub group: Option<String>,
}

impl FromStr for UserSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(c) = text.chars().find(|c| c.is_control()) {
            return Err(format!("invalid user {text:?}: {c:?} is not allowed in a name"));
        }
        let (user, group) = match text.split_once(':') {
            Some((_, group)) if group.contains(':') => {
                return Err(format!("invalid user {text:?}: more than one colon"));
            }
            Some((user, group)) => (user, (!group.is_empty()).then(|| group.to_owned())),
            None => (text, None),
        };
        for part in [Some(user), group.as_deref()].into_iter().flatten() {
            // A number is an id: one that does not fit must not be looked up as a name, nor wrap round to 0.
            if !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_digit())
                && !part.parse::<u32>().is_ok_and(|id| id <= MAX_ID)
            {
                return Err(format!("uids and gids must be in range 0-{MAX_ID}: {part}"));
            }
        }
        Ok(UserSpec { typed: text.to_owned(), user: user.to_owned(), group })
    }
}

/// As docker's engine has it; 2^32-1 means "unchanged" to the kernel.
const MAX_ID: u32 = i32::MAX as u32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn users_and_groups() {
        let spec: UserSpec = "app:staff".parse().unwrap();
        assert_eq!((spec.user.as_str(), spec.group.as_deref()), ("app", Some("staff")));
        let spec: UserSpec = "1000".parse().unwrap();
        assert_eq!((spec.user.as_str(), spec.group), ("1000", None));
        let spec: UserSpec = ":50".parse().unwrap();
        assert_eq!((spec.user.as_str(), spec.group.as_deref()), ("", Some("50")));
    }

    #[test]
    fn ids_do_not_wrap() {
        for bad in ["2147483648", "4294967295", "4294967296", "0:4294967296", "99999999999999999999"] {
            assert!(bad.parse::<UserSpec>().unwrap_err().contains("in range 0-2147483647"), "{bad}");
        }
        assert!("a:b:c".parse::<UserSpec>().is_err());
        assert!("root\n".parse::<UserSpec>().is_err());
    }

    proptest! {
        #[test]
        fn numbers_in_range_pass(uid in 0_u32..=MAX_ID, gid in 0_u32..=MAX_ID) {
            let spec: UserSpec = format!("{uid}:{gid}").parse().unwrap();
            prop_assert_eq!(spec.user, uid.to_string());
            prop_assert_eq!(spec.group, Some(gid.to_string()));
        }
    }
}
