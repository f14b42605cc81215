//! The tutorial in two browser windows, with the gateway that `stunner demo` runs. Pictures are kept in `target/e2e`.

mod calls;
mod endings;
mod page;
mod registering;
mod trouble;
