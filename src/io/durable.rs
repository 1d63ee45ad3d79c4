//! Files that are complete under their name, or not there, whatever happens while they are written.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Has `write` fill a file beside `path`, waits until it is on the disk, and gives it its name.
///
/// # Errors
///
/// If `write` or the system refuses; a file of that name is then as it was.
pub(super) fn write(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut partial: OsString = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    // Some writers make a file for its owner alone; ours are readable like any other file.
    let metadata = File::create(&partial).and_then(|file| file.metadata()).map_err(io)?;
    let finish = || {
        fs::set_permissions(&partial, metadata.permissions())?;
        // Otherwise the name might outlive a power failure, and the bytes not.
        File::options().write(true).open(&partial)?.sync_all()?;
        fs::rename(&partial, path)?;
        sync_folder(path)
    };
    write(&partial).and_then(|()| finish().map_err(io)).inspect_err(|_| {
        let _ = fs::remove_file(&partial);
    })
}

/// Waits until the name of a file is on the disk as well, where folders can be opened for that.
fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_the_file_that_was_there() {
        let folder = std::env::temp_dir().join(format!("slide_rs-durable-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("file");
        let fill = |text: &'static str| {
            move |partial: &Path| {
                fs::write(partial, text).unwrap();
                if text.is_empty() { Err(Error::Busy("a test")) } else { Ok(()) }
            }
        };
        write(&path, fill("first")).unwrap();
        write(&path, fill("")).unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        write(&path, fill("second")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "second");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
