use std::{fs, path::PathBuf, process::Command};

use crate::{Node, programs::ctr};

/// A container on the node, as the kernel sees its first process.
#[derive(Debug, Clone)]
pub struct Container {
    /// The image it was made from.
    pub image: String,
    /// The user it runs as.
    pub user: u32,
    /// The capabilities it has, as a mask.
    pub capabilities: u64,
    /// Whether it cannot write to its root file system.
    pub root_is_read_only: bool,
}

impl Node<'_> {
    /// The running containers whose image begins with `image`.
    #[track_caller]
    pub fn containers(&self, image: &str) -> Vec<Container> {
        let containers = self.ctr(&["containers", "list"]);
        let tasks = self.ctr(&["tasks", "list"]);
        let ours = rows(&containers).filter(|row| row.get(1).is_some_and(|name| name.starts_with(image)));
        let process = |id: &str| {
            let task = rows(&tasks).find(|row| row.first() == Some(&id) && row.get(2) == Some(&"RUNNING"))?;
            task.get(1)?.parse::<u32>().ok()
        };
        ours.filter_map(|row| Some(self.look_at(row[1], process(row[0])?))).collect()
    }

    fn look_at(&self, image: &str, process: u32) -> Container {
        // Process ids are those of the node's namespace.
        let parts = ["/proc", &self.space_id().to_string(), "root", "proc", &process.to_string()];
        let folder: PathBuf = parts.iter().collect();
        let read = |name: &str| {
            let file = folder.join(name);
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        };
        let (status, mounts) = (read("status"), read("mountinfo"));
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().unwrap_or_default().to_owned()
        };
        // ID PARENT DEVICE ROOT WHERE OPTIONS ...
        let is_root = |fields: &Vec<&str>| fields.get(4) == Some(&"/");
        let options = rows_of_all(&mounts).find(is_root).and_then(|fields| fields.get(5).copied());
        Container {
            image: image.to_owned(),
            user: field("Uid:").parse().unwrap_or(0),
            capabilities: u64::from_str_radix(&field("CapEff:"), 16).unwrap_or(u64::MAX),
            root_is_read_only: options.is_some_and(|options| options.split(',').any(|one| one == "ro")),
        }
    }

    #[track_caller]
    fn ctr(&self, arguments: &[&str]) -> String {
        let mut command: Command = ctr(self.part, self.folder);
        let output = command.args(arguments).output().expect("ctr runs");
        assert!(output.status.success(), "ctr {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// The rows of a table below its head.
fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    rows_of_all(table).skip(1)
}

fn rows_of_all(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect())
}
