//! Trying inputs until something breaks or there have been enough.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;

use crate::Target;
use crate::mutate::{below, mutate};

/// Inputs worth changing that are kept in memory.
const POOL: usize = 4096;

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Inputs tried.
    pub tried: u64,
    /// Ways of getting through that they took.
    pub paths: usize,
    /// An input that broke a promise, which ends the run.
    pub broken: Option<Vec<u8>>,
}

/// Tries the found cases and the corpus, and then changes of them for as long as `goes_on` says.
///
/// # Errors
/// A folder cannot be read.
pub fn run(target: &Target, seed: u64, mut goes_on: impl FnMut(u64) -> bool) -> io::Result<Report> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pool = inputs(&target.found())?;
    pool.extend(inputs(&target.corpus())?);
    pool.push(Vec::new());
    let mut paths = HashSet::new();
    let mut tried = 0;
    for input in &pool {
        tried += 1;
        match attempt(target, input) {
            Some(path) => paths.insert(path),
            None => return Ok(Report { tried, paths: paths.len(), broken: Some(input.clone()) }),
        };
    }
    while goes_on(tried) {
        let (one, other) = (&pool[below(&mut rng, pool.len())], &pool[below(&mut rng, pool.len())]);
        let input = mutate(one, other, target.words, &mut rng);
        tried += 1;
        match attempt(target, &input) {
            None => return Ok(Report { tried, paths: paths.len(), broken: Some(input) }),
            Some(path) if paths.insert(path) => {
                if pool.len() < POOL {
                    pool.push(input);
                } else {
                    let at = below(&mut rng, POOL);
                    pool[at] = input;
                }
            }
            Some(_) => {}
        }
    }
    Ok(Report { tried, paths: paths.len(), broken: None })
}

fn attempt(target: &Target, input: &[u8]) -> Option<u64> {
    panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input))).ok()
}

/// The files of a folder in the order of their names; none if there is no folder.
fn inputs(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort_unstable();
    files.iter().map(fs::read).collect()
}

/// Keeps an input that broke a promise, under a name made of its bytes.
///
/// # Errors
/// It cannot be written.
pub fn keep(target: &Target, input: &[u8]) -> io::Result<PathBuf> {
    let folder = target.found();
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{:016x}", crate::path_of(&input)));
    fs::write(&path, input)?;
    Ok(path)
}
