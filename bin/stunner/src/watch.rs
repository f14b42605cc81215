//! Tells when files may have changed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{sync::Notify, time};

/// A change is taken up when the files have been left alone for this long: a file is written in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// But no later than this, however long the writing goes on.
const PATIENCE: Duration = Duration::from_millis(600);

/// Watches files by their directories, so that a file that is replaced or comes later is seen as well.
pub(crate) struct Watch {
    _watcher: RecommendedWatcher,
    touched: Arc<Notify>,
}

impl Watch {
    /// # Errors
    /// A directory cannot be watched.
    pub(crate) fn new(files: &[PathBuf]) -> Result<Self> {
        let touched = Arc::new(Notify::new());
        let notify = Arc::clone(&touched);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                notify.notify_one();
            }
        })?;
        let mut directories: Vec<&Path> = files.iter().map(|file| directory(file)).collect();
        directories.sort_unstable();
        directories.dedup();
        for directory in directories {
            watcher
                .watch(directory, RecursiveMode::NonRecursive)
                .with_context(|| format!("cannot watch {} for changes", directory.display()))?;
        }
        Ok(Self { _watcher: watcher, touched })
    }

    /// Waits until something was changed and the writing has settled.
    pub(crate) async fn changed(&self) {
        self.touched.notified().await;
        let settled = async { while time::timeout(QUIET, self.touched.notified()).await.is_ok() {} };
        let _ = time::timeout(PATIENCE, settled).await;
    }
}

fn directory(file: &Path) -> &Path {
    if file.is_dir() {
        return file;
    }
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
