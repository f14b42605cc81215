//! Directories of YAML in, YAML out.
//!
//! `tests/golden/CASE/in/*.yaml` are the objects, `CASE/case.yaml` says what the case shows and how it is rendered, and
//! `CASE/out/*.yaml` is what has to come out. `make bless` (or `BLESS=1`) writes the latter anew; read the diff.

mod golden_case;

use golden_case::Case;

macro_rules! cases {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            Case::load(stringify!($name)).check();
        })*

        /// A directory that nobody looks at is not a test.
        #[test]
        fn every_directory_is_a_case() {
            assert_eq!(golden_case::directories(), [$(stringify!($name)),*]);
        }
    };
}

cases! {
    t06_tutorial_current
}
