//! The call application in two browser windows. Pictures are kept in `target/e2e`.

mod calls;
mod endings;
mod page;
mod registering;
mod setting;
mod trouble;
