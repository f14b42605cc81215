//! All that there is to say, kept so that a part of it can be replaced.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    RouteKey,
    api::{Key, ObjectRef},
    problem::Problem,
};

/// Findings, each once, in the order of the objects they are about.
#[derive(Clone, Default)]
pub struct Problems {
    /// By what was looked at when they turned up.
    sources: BTreeMap<Source, Vec<Problem>>,
    /// What to look at for those about an object.
    objects: BTreeMap<ObjectRef, BTreeSet<Source>>,
    /// Those that have turned up since the last were filed.
    unfiled: Vec<Problem>,
}

/// What can be rendered by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Class(Key),
    Route(RouteKey),
    Gateway(Key),
    /// What several Gateways were merged into.
    Merged,
}

impl Problems {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.objects.keys().flat_map(|object| {
            let mut seen = BTreeSet::new();
            self.about(object).filter(move |problem| seen.insert(*problem))
        })
    }

    /// Whether it is among them.
    pub fn contains(&self, problem: &Problem) -> bool {
        self.about(&problem.object).any(|known| known == problem)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Those about an object, some maybe twice.
    fn about(&self, object: &ObjectRef) -> impl Iterator<Item = &Problem> {
        let sources = self.objects.get(object).into_iter().flatten();
        let found = sources.flat_map(|source| self.of(source));
        found.filter(move |problem| problem.object == *object)
    }

    /// Those that turned up there, some maybe twice.
    pub(crate) fn of(&self, source: &Source) -> &[Problem] {
        self.sources.get(source).map_or(&[], Vec::as_slice)
    }

    /// Adds one, to be filed.
    pub(crate) fn push(&mut self, problem: Problem) {
        self.unfiled.push(problem);
    }

    /// Adds some, to be filed.
    pub(crate) fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.unfiled.extend(problems);
    }

    /// Files what has turned up since the last call.
    pub(crate) fn file(&mut self, source: Source) {
        for problem in std::mem::take(&mut self.unfiled) {
            self.objects.entry(problem.object.clone()).or_default().insert(source.clone());
            self.sources.entry(source.clone()).or_default().push(problem);
        }
    }

    /// Puts what `other` has of a source in the place of what there was of it.
    pub(crate) fn replace(&mut self, source: &Source, other: &Self) {
        for problem in self.sources.remove(source).into_iter().flatten() {
            if let Some(sources) = self.objects.get_mut(&problem.object) {
                sources.remove(source);
                if sources.is_empty() {
                    self.objects.remove(&problem.object);
                }
            }
        }
        self.extend(other.of(source).iter().cloned());
        self.file(source.clone());
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Problems {
    /// Where they turned up counts, too.
    fn eq(&self, other: &Self) -> bool {
        self.sources == other.sources
    }
}
