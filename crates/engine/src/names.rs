//! The one sanitiser for file names that come from the network: whatever comes in, one harmless path component that
//! stays in the chosen folder comes out, on every platform.

/// The longest name that comes out, in bytes: what common file systems take.
pub const NAME_LEN_MAX: usize = 255;
/// Longer "extensions" are not kept when a name is shortened.
const EXTENSION_LEN_MAX: usize = 16;
/// What stands for a character that may not.
const REPLACEMENT: char = '_';
/// Names that Windows gives to devices, with any extension. COM and LPT also take digits; see [`is_reserved`].
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Makes one safe component of `name`; `default` (one of our own, safe) when nothing is left of it.
///
/// Everything up to the last separator goes, forbidden characters become `_`, spaces and dots at the end and spaces at
/// the beginning go, a device name gets a `_` in front, and what is too long is cut before its extension. Leading dots
/// stay: a hidden file is harmless and may be meant.
pub fn sanitise(name: &str, default: &str) -> String {
    sanitise_within(name, default, NAME_LEN_MAX)
}

/// The same with room left: at most `len_max` bytes come out, at least 32, so that a suffix such as `.peernet-part` can
/// follow within [`NAME_LEN_MAX`].
pub fn sanitise_within(name: &str, default: &str, len_max: usize) -> String {
    let component = name.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or("");
    let replaced: String = component.chars().map(|c| if is_forbidden(c) { REPLACEMENT } else { c }).collect();
    let has_substance = component.chars().any(|c| !is_forbidden(c) && c != '.' && !c.is_whitespace());
    let room = len_max.max(32);
    // Shortened before it is judged: what a cut leaves may be a device's name, or nothing at all.
    let mut kept = shorten(trim(&replaced), room);
    if is_reserved(&kept) {
        kept = shorten(&format!("{REPLACEMENT}{kept}"), room);
    }
    if has_substance && !kept.is_empty() { kept } else { default.to_owned() }
}

/// Whether `name` would come out of [`sanitise`] as it is.
pub fn is_safe(name: &str) -> bool {
    !name.is_empty() && sanitise(name, "") == name
}

fn trim(name: &str) -> &str {
    name.trim_start().trim_end_matches(|c: char| c == '.' || c.is_whitespace())
}

fn is_forbidden(c: char) -> bool {
    // These are ordinary characters elsewhere, and a file keeps its name.
    let is_special_here = cfg!(windows) && matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*');
    c.is_control() || is_special_here || is_deceptive(c)
}

/// Characters that turn the direction of text, are not seen, or end a line in some places and not in others: they make
/// a name look like another (`exe.txt` for `txt.exe`).
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

/// At most `len_max` bytes, on a character boundary, with a short extension kept.
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
    fn what_a_cut_leaves_is_judged_again() {
        assert_eq!(sanitise(&format!("{}{}", ".".repeat(300), "x".repeat(20)), "default"), "default");
        assert_eq!(sanitise(&format!("con{}x", " ".repeat(300)), "default"), "_con");
    }

    proptest! {
        #[test]
        fn whatever_comes_in_a_safe_name_comes_out(name in "[./\\\\ a-cé:\u{202e}\0CONconul1-9]{0,12}|.{0,300}|\\PC{0,300}") {
            let safe = sanitise(&name, "default");
            prop_assert!(!safe.is_empty() && safe.len() <= NAME_LEN_MAX);
            prop_assert!(!safe.contains(['/', '\\', '\0']) && !safe.chars().any(is_forbidden), "{safe:?}");
            prop_assert!(!safe.ends_with(['.', ' ']) && !is_reserved(&safe), "{safe:?}");
            prop_assert_eq!(std::path::Path::new(&safe).components().count(), 1);
            prop_assert!(is_safe(&safe), "{:?} is changed again", safe);
        }
    }
}
