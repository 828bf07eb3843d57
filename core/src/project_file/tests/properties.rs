//! What holds for any input: no panic, no endless work, places inside the file.

use proptest::prelude::*;

use super::*;

fn holds(text: &str) -> Result<(), TestCaseError> {
    let lines = text.matches('\n').count() + 1;
    match read(text) {
        Ok(loaded) => prop_assert!(loaded.warnings.iter().all(|found| found.line <= lines)),
        Err(report) => {
            prop_assert!(!report.findings.is_empty());
            for found in &report.findings {
                prop_assert!(found.line >= 1 && found.line <= lines && found.column >= 1);
                prop_assert!(!found.details().is_empty());
            }
        }
    }
    Ok(())
}

/// Pieces that put together make files that are nearly right.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ ]{0,6}",
        "[a-z]{1,8}: ",
        Just("name: d".to_owned()),
        Just("components:".to_owned()),
        Just("  web:".to_owned()),
        Just("    image: a".to_owned()),
        Just("    crontab: |".to_owned()),
        Just("      * * * * * /x".to_owned()),
        Just("    environment: [A=1]".to_owned()),
        Just("    eventsources: {a: {cron: {schedule: x}}}".to_owned()),
        Just("${PORT}".to_owned()),
        Just("$${X}${Y:-z}".to_owned()),
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        Just("<<: ".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\t".to_owned()),
        Just("- ".to_owned()),
        Just("ä€😀".to_owned()),
        "[\\[\\]{},:#'\"|>!?%@-]",
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        holds(&text)?;
    }

    #[test]
    fn nearly_right_files_are_answered(text in pieces()) {
        holds(&text)?;
    }
}

/// The stock deserializer of the YAML library agrees on what loads.
#[test]
fn another_reader_sees_the_same_file() {
    let text = "name: d\ncomponents:\n  web:\n    image: 'a'\n    maxconcurrency: 1_0\n    containerinit: yes\n    command: [\"a\\tb\", c d, 'e''f']\n    crontab: |\n      @daily /x\n    environment:\n    - A=1\n    - \"B=x: y\"\n    eventsources:\n      s: {http: {pathprefix: /, stripprefix: off}}\n";
    let stock: shape::ProjectShape = serde_saphyr::from_str(text).unwrap();
    let mut found = Vec::new();
    let root = yaml::read(text, &mut found).unwrap();
    let ours: shape::ProjectShape = decode::decode(&root, &mut found);
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(ours, stock);
}
