//! What has changed since everything else was planned, and why.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use gateway::api::ObjectRef;

use crate::plan::Targets;

/// What has led to a write, for the log.
pub(crate) type Cause = Arc<str>;

/// Objects to look at.
#[derive(Debug, Default)]
pub(crate) struct Unplanned {
    all: Option<Cause>,
    targets: BTreeMap<ObjectRef, Cause>,
}

impl Unplanned {
    /// Adds one. What was the cause first stays it.
    pub(crate) fn add(&mut self, target: ObjectRef, cause: &Cause) {
        if self.all.is_none() {
            self.targets.entry(target).or_insert_with(|| Arc::clone(cause));
        }
    }

    /// Adds everything there is.
    pub(crate) fn add_all(&mut self, cause: &Cause) {
        self.all.get_or_insert_with(|| Arc::clone(cause));
        self.targets.clear();
    }

    /// Them.
    pub(crate) fn targets(&self) -> Targets<'_, Cause> {
        if self.all.is_some() { Targets::All } else { Targets::Some(&self.targets) }
    }

    /// Why one of them is there.
    pub(crate) fn cause(&self, target: &ObjectRef) -> Cause {
        self.all.as_ref().or_else(|| self.targets.get(target)).map_or_else(|| "".into(), Arc::clone)
    }
}

/// Names of changed objects, the first few of them.
pub(crate) fn cause(changed: &BTreeSet<ObjectRef>) -> Cause {
    const NAMED: usize = 3;
    let mut text: Vec<String> = changed.iter().take(NAMED).map(ObjectRef::to_string).collect();
    if let Some(more) = changed.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text.push(format!("{more} more"));
    }
    if text.is_empty() { "the start".into() } else { text.join(", ").into() }
}
