//! Each program of `cases/` fails to compile, with the message beside it: short, and it says what to do.

#[test]
fn messages() {
    // Dropped, and with that run, before the messages are looked at.
    trybuild::TestCases::new().compile_fail("cases/*.rs");
    let mut seen = 0;
    for file in std::fs::read_dir("cases").unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|ext| ext != "stderr") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let errors = text.lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, 1, "{}: one mistake, one error", path.display());
        assert!(text.lines().count() <= 32, "{}: too long", path.display());
        seen += 1;
    }
    assert_eq!(seen, 13, "messages");
}
