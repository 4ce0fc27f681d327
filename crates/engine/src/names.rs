//! The sanitiser for file names that come from the network. Any text becomes one harmless path component that stays in
//! the chosen folder on every platform.

/// The longest name that it returns, in bytes: the limit of common file systems.
pub const NAME_LEN_MAX: usize = 255;
/// The longest extension that is kept when a name is shortened, in bytes with the dot.
const EXTENSION_LEN_MAX: usize = 16;
/// The character that replaces a forbidden one.
const REPLACEMENT: char = '_';
/// Names that Windows gives to devices, with any extension. COM and LPT also take digits; see [`is_reserved`].
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Returns one safe path component made of `name`, or `default` if nothing is left of it. `default` must be safe.
///
/// - Everything up to the last separator is removed.
/// - Forbidden characters become `_`.
/// - Spaces at either end and dots at the end are removed. Leading dots stay: a hidden file is harmless and may be
///   meant.
/// - A device name gets a `_` in front.
/// - A name that is too long is cut before its extension.
pub fn sanitise(name: &str, default: &str) -> String {
    sanitise_within(name, default, NAME_LEN_MAX)
}

/// As [`sanitise`], but returns at most `len_max` bytes. A suffix such as `.peernet-part` can then follow within
/// [`NAME_LEN_MAX`]. A `len_max` below 32 counts as 32.
pub fn sanitise_within(name: &str, default: &str, len_max: usize) -> String {
    let component = name.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or("");
    let replaced: String = component.chars().map(|c| if is_forbidden(c) { REPLACEMENT } else { c }).collect();
    let has_substance = component.chars().any(|c| !is_forbidden(c) && c != '.' && !c.is_whitespace());
    let room = len_max.max(32);
    // The name is shortened before it is checked, because a shortened name may be a device's name or empty.
    let mut kept = shorten(trim(&replaced), room);
    if is_reserved(&kept) {
        kept = shorten(&format!("{REPLACEMENT}{kept}"), room);
    }
    if has_substance && !kept.is_empty() { kept } else { default.to_owned() }
}

/// Tells whether [`sanitise`] would leave `name` unchanged.
pub fn is_safe(name: &str) -> bool {
    !name.is_empty() && sanitise(name, "") == name
}

fn trim(name: &str) -> &str {
    name.trim_start().trim_end_matches(|c: char| c == '.' || c.is_whitespace())
}

fn is_forbidden(c: char) -> bool {
    // On other systems these are ordinary characters, and a file should keep its name.
    let is_special_here = cfg!(windows) && matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*');
    c.is_control() || is_special_here || is_deceptive(c)
}

/// Tells whether a character can make a name look like another, such as `exe.txt` for `txt.exe`. These characters
/// change the direction of text, are invisible, or end a line in some programs only.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or("").trim_end().to_lowercase();
    let numbered = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let is_port =
        |rest: &str| matches!(rest, "¹" | "²" | "³") || (rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit());
    RESERVED.contains(&stem.as_str()) || numbered.is_some_and(is_port)
}

/// Cuts a name to at most `len_max` bytes, on a character boundary. Keeps a short extension.
fn shorten(name: &str, len_max: usize) -> String {
    if name.len() <= len_max {
        return name.to_owned();
    }
    let extension = name.rfind('.').map_or("", |at| &name[at..]);
    let extension = if extension.len() <= EXTENSION_LEN_MAX { extension } else { "" };
    let room = len_max - extension.len();
    let cut = (0..=room).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    let stem = &name[..cut];
    // The cut may have left a dot or a space at the end.
    trim(&format!("{stem}{extension}")).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_from_the_network_becomes_one_safe_component() {
        for (name, expected) in [
            ("model.bin", "model.bin"),
            ("Größe (1) – final.tar.gz", "Größe (1) – final.tar.gz"),
            (".hidden", ".hidden"),
            ("", "default"),
            (".", "default"),
            ("..", "default"),
            ("...", "default"),
            ("/", "default"),
            ("\0", "default"),
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            ("a/..", "default"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("C:\\x\\y.txt", "y.txt"),
            ("__", "__"),
            ("dir/name/", "name"),
            ("a\0b\nc\u{7f}d\u{85}e", "a_b_c_d_e"),
            ("photo\u{202e}gpj.exe", "photo_gpj.exe"),
            ("a\u{200b}\u{feff}b", "a__b"),
            ("name. . .", "name"),
            ("  name ", "name"),
            ("con", "_con"),
            ("NUL.txt", "_NUL.txt"),
            ("Com7.tar.gz", "_Com7.tar.gz"),
            ("lpt² .x", "_lpt² .x"),
            ("console", "console"),
            ("com10", "com10"),
            ("a: b? *", if cfg!(windows) { "a_ b_ _" } else { "a: b? *" }),
        ] {
            assert_eq!(sanitise(name, "default"), expected, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension() {
        let long = format!("{}.tar", "é".repeat(300));
        let short = sanitise(&long, "default");
        assert!(short.len() > NAME_LEN_MAX - 2 && short.len() <= NAME_LEN_MAX && short.ends_with("é.tar"), "{short}");
        assert_eq!(sanitise_within(&long, "default", 40).len(), 40);
        assert_eq!(sanitise(&format!("a.{}", "b".repeat(300)), "default").len(), NAME_LEN_MAX);
    }

    #[test]
    fn a_shortened_name_is_checked_again() {
        assert_eq!(sanitise(&format!("{}{}", ".".repeat(300), "x".repeat(20)), "default"), "default");
        assert_eq!(sanitise(&format!("con{}x", " ".repeat(300)), "default"), "_con");
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_safe_name(name in "[./\\\\ a-cé:\u{202e}\0CONconul1-9]{0,12}|.{0,300}|\\PC{0,300}") {
            let safe = sanitise(&name, "default");
            prop_assert!(!safe.is_empty() && safe.len() <= NAME_LEN_MAX);
            prop_assert!(!safe.contains(['/', '\\', '\0']) && !safe.chars().any(is_forbidden), "{safe:?}");
            prop_assert!(!safe.ends_with(['.', ' ']) && !is_reserved(&safe), "{safe:?}");
            prop_assert_eq!(std::path::Path::new(&safe).components().count(), 1);
            prop_assert!(is_safe(&safe), "{:?} is changed again", safe);
        }
    }
}
