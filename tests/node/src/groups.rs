use std::{
    fs, io,
    path::{Path, PathBuf},
};

use kit::Deadline;

const TREES: &str = "/sys/fs/cgroup";

/// Control groups of the node's own, so that its kubelet neither meets nor touches those of anybody else's.
#[derive(Debug)]
pub(crate) struct Groups {
    name: String,
}

impl Groups {
    /// Makes them, or says what the kernel refuses.
    pub(crate) fn make(name: &str) -> Result<Self, String> {
        let groups = Self { name: name.to_owned() };
        for tree in trees() {
            let folder = tree.join(name);
            let made = fs::create_dir(&folder).and_then(|()| inherit(&tree, &folder));
            made.map_err(|error| format!("a control group {}: {error}", folder.display()))?;
        }
        Ok(groups)
    }

    /// Their path in each tree, for the kubelet.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.name)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        remove_all(&self.name);
    }
}

/// Removes the groups that keepers left which are gone: who is killed cannot tidy up.
pub(crate) fn sweep(prefix: &str) {
    let named = |tree: &PathBuf| -> Vec<String> {
        let entries = fs::read_dir(tree).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    let mut names: Vec<String> = trees().iter().flat_map(named).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let keeper = name.strip_prefix(prefix).and_then(|id| id.parse::<u32>().ok());
        if keeper.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            remove_all(&name);
        }
    }
}

/// Removes the groups of this name. Processes that were ended a moment ago may still be in them.
pub(crate) fn remove_all(name: &str) {
    let deadline = Deadline::default();
    // The container runtime also makes one in the tree of version 2 beside those of version 1.
    let unified = Path::new(TREES).join("unified");
    for folder in trees().iter().chain([&unified]).map(|tree| tree.join(name)) {
        while remove(&folder).is_err() && deadline.left().is_some() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// The folders under which groups are made: one, or with version 1 one for each controller.
fn trees() -> Vec<PathBuf> {
    let root = Path::new(TREES);
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    // A link is a second name of a tree that serves several controllers; an empty folder has nothing mounted.
    let real = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut trees: Vec<_> =
        real.map(|entry| entry.path()).filter(|path| path.join("cgroup.procs").exists()).collect();
    trees.retain(|path| path.file_name().is_some_and(|name| name != "unified"));
    trees.sort();
    trees
}

/// A new group of version 1 may use no processor until it is told which; one of version 2 has no controllers
/// beneath it until it is told so.
fn inherit(tree: &Path, folder: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if tree.join("cgroup.controllers").exists() || !folder.join(file).exists() {
            continue;
        }
        fs::write(folder.join(file), fs::read_to_string(tree.join(file))?.trim())?;
    }
    let Ok(controllers) = fs::read_to_string(tree.join("cgroup.controllers")) else { return Ok(()) };
    for controller in controllers.split_whitespace() {
        for parent in [tree, folder] {
            fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"))?;
        }
    }
    Ok(())
}

/// Removes a group with those beneath it: only empty ones can be.
fn remove(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}
