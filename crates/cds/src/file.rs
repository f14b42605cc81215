//! Loading from and following a file.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use config::Config;
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    fs,
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{Error, Event, Options, Timing, Watch};

/// Reads a file once.
///
/// # Errors
/// The file cannot be read, is empty, or has no valid configuration in it.
pub async fn load(path: &Path, options: &Options) -> Result<Config, Error> {
    Ok(options.parse(&read(path).await?)?)
}

/// Follows a file: [`Event::Config`] for every valid content that differs from the one before, [`Event::Synced`] after
/// the first. A file that is missing, empty or not valid is waited for, with one line in the log; what was told before
/// stays in force. See [`Contents`] for what counts as a content.
///
/// # Errors
/// The system has no means of watching files left.
pub fn watch(path: PathBuf, options: Options) -> Result<Watch, Error> {
    let mut contents = Contents::new(path, options.timing.clone())?;
    Ok(Watch::spawn(|events| async move {
        let mut last: Option<Config> = None;
        loop {
            let content = contents.next().await;
            let config = match content.and_then(|text| Ok(options.parse(&text)?)) {
                Ok(config) => config,
                Err(problem) => {
                    let file = contents.path.display();
                    tracing::warn!(target: "config-file-client", %file, %problem, "waiting for a valid configuration");
                    continue;
                }
            };
            let is_first = last.is_none();
            if last.as_ref() == Some(&config) {
                continue;
            }
            last = Some(config.clone());
            // Sending fails only between the drop of the watch and the end of this task.
            let _ = events.send(Event::Config(Box::new(config))).await;
            if is_first {
                let _ = events.send(Event::Synced).await;
            }
        }
    }))
}

/// The contents of a file over time.
///
/// The folder is watched rather than the file, so it does not matter how the content changes: by writing, by truncating
/// and writing, by renaming another file over it, or by swapping the symbolic link of a Kubernetes volume. A content
/// counts when the file has stayed the same for a while ([`Timing::settle`]). Where changes go unnoticed, a look at the
/// file from time to time ([`Timing::retry`]) finds them.
pub struct Contents {
    path: PathBuf,
    timing: Timing,
    changed: Arc<Notify>,
    watcher: RecommendedWatcher,
    is_watching: bool,
    last: Option<Content>,
}

/// What a file holds, or why that cannot be told.
type Content = Result<String, String>;

impl Contents {
    /// Begins to watch. The file need not exist yet, nor its folder.
    ///
    /// # Errors
    /// The system has no means of watching files left.
    pub fn new(path: PathBuf, timing: Timing) -> Result<Self, Error> {
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| may_change_content(event.kind)) {
                notify.notify_one();
            }
        })?;
        Ok(Self { path, timing, changed, watcher, is_watching: false, last: None })
    }

    /// Waits for the first content, or one that differs from what was returned before.
    ///
    /// # Errors
    /// The file cannot be read any more or is empty; told once, the next call waits until that is over.
    pub async fn next(&mut self) -> Result<String, Error> {
        loop {
            self.watch_folder();
            let content = read(&self.path).await;
            self.is_watching &= content.is_ok();
            if self.is_news(&content) {
                sleep(self.timing.settle).await;
                let again = read(&self.path).await;
                if summary(&again) == summary(&content) {
                    self.last = Some(summary(&content));
                    return content;
                }
                continue;
            }
            // Runs out where changes go unnoticed, which is not an error.
            let _ = timeout(self.timing.retry, self.changed.notified()).await;
        }
    }

    fn is_news(&self, content: &Result<String, Error>) -> bool {
        self.last.as_ref() != Some(&summary(content))
    }

    /// Tried again as long as it fails, and when the file has vanished, perhaps with its folder.
    fn watch_folder(&mut self) {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        self.is_watching =
            self.is_watching || self.watcher.watch(folder, RecursiveMode::NonRecursive).is_ok();
    }
}

fn summary(content: &Result<String, Error>) -> Content {
    match content {
        Ok(text) => Ok(text.clone()),
        Err(error) => Err(error.to_string()),
    }
}

/// Looking at the file is an event, too, which must not make us look at it.
fn may_change_content(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

async fn read(path: &Path) -> Result<String, Error> {
    let failed = |error| Error::File { path: path.to_owned(), error };
    let bytes = fs::read(path).await.map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| failed(io::Error::other("not UTF-8 text")))?;
    if text.is_empty() { Err(Error::EmptyFile(path.to_owned())) } else { Ok(text) }
}
