use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use kit::{Deadline, Part, Process};

use crate::{Node, programs::ctr, space::Space};

/// The images of this repository that a node needs.
const OURS: [&str; 5] = ["stunnerd", "stunner-operator", "stunner-auth", "one2one", "icetester"];

/// Kubernetes' own: the pod's first process, and names of Services.
const THEIRS: [&str; 2] = ["pause", "coredns"];

/// Builds this repository's images from the programs that the tests use, as archives in `folder`.
pub(crate) fn ours(folder: &Path) -> Vec<PathBuf> {
    fs::create_dir_all(folder).expect("a folder for images");
    let mut programs = PathBuf::new();
    for program in OURS.iter().chain(&["health"]) {
        programs = kit::binary(program).parent().expect("programs are in a folder").to_owned();
    }
    let mut script = Command::new("scripts/images");
    script.current_dir(kit::workspace()).env("PATH", crate::space::path());
    script.arg("--trial").arg(&programs).arg(folder).args(OURS);
    Process::run(script, patience());
    OURS.iter().map(|name| folder.join(name).with_extension("tar")).collect()
}

/// Builds the images that every node needs, as archives in `folder`.
pub(crate) fn theirs(part: &Part, folder: &Path) -> Vec<PathBuf> {
    for name in THEIRS {
        build_from_scratch(part, name, folder);
    }
    THEIRS.iter().map(|name| folder.join(name).with_extension("tar")).collect()
}

/// An image with one static program.
fn build_from_scratch(part: &Part, name: &str, folder: &Path) {
    let context = folder.join("context").join(name);
    fs::create_dir_all(&context).expect("a folder for an image");
    let program = part.command(name).get_program().to_owned();
    fs::copy(program, context.join(name)).expect("a program can be copied");
    let containerfile = format!("FROM scratch\nCOPY {name} /{name}\nENTRYPOINT [\"/{name}\"]\n");
    fs::write(context.join("Containerfile"), containerfile).expect("a file can be written");
    build_as(part, &format!("localhost/node/{name}:1"), &context, folder);
}

/// Builds an image from a folder with a Containerfile, as an archive in `folder`.
fn build_as(part: &Part, tag: &str, context: &Path, folder: &Path) -> PathBuf {
    let buildah = || {
        let mut command = part.command("buildah");
        command.args(["--storage-driver", "vfs"]);
        command.arg("--root").arg(folder.join("storage")).arg("--runroot").arg(folder.join("run"));
        command.env("BUILDAH_ISOLATION", "chroot");
        command
    };
    let mut build = buildah();
    build.args(["build", "--quiet", "--format", "docker", "--layers=false", "--tag", tag]).arg(context);
    Process::run(build, patience());
    let name = tag.rsplit('/').next().and_then(|last| last.split(':').next()).unwrap_or(tag);
    let archive = folder.join(name).with_extension("tar");
    let mut push = buildah();
    push.args(["push", "--quiet", tag]).arg(format!("docker-archive:{}:{tag}", archive.display()));
    Process::run(push, patience());
    archive
}

impl Node<'_> {
    /// Builds an image from a folder with a Containerfile, and gives it to the node.
    pub fn add_image(&self, tag: &str, context: &Path) {
        let archive = build_as(self.part, tag, context, &self.folder.join("images"));
        import(self.part, self.space, self.folder, &archive);
    }
}

/// Gives the node an image.
pub(crate) fn import(part: &Part, space: &Space, folder: &Path, archive: &Path) {
    let mut import = ctr(part, folder);
    import.args(["images", "import", "--all-platforms"]).arg(archive);
    Process::run(space.command(&import, "import"), patience());
}

/// For programs that work on files of a hundred megabytes, beside others.
pub(crate) fn patience() -> Deadline {
    Deadline::after(Duration::from_secs(300))
}
