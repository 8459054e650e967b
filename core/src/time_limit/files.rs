//! Reads files during a call. A file may be on a server that does not respond, be a pipe without a writer, or have no
//! end. So a thread that the caller can abandon reads each file, only a regular file, and at most a maximum size.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{TimeLimited, Unfinished};

/// The time limit for reading a file.
pub const LIMIT: Duration = Duration::from_millis(500);

static THREADS: TimeLimited = TimeLimited::new("notifier-files", 256 * 1024);

/// Returns the number of threads that still read a file for no caller.
pub fn abandoned_threads() -> usize {
    THREADS.abandoned()
}

/// The result of reading a file.
#[derive(Debug)]
pub struct FileReading {
    /// The state of the file before reading. `None` if the file does not exist or its state cannot be read.
    pub stamp: Option<FileStamp>,
    pub bytes: Result<Vec<u8>, FileError>,
}

/// The reason why a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    NotFound,
    Denied,
    Directory,
    /// The file is a pipe, a socket or a device.
    NotRegular,
    TooLong,
    Unreadable,
    /// The time limit is over. A later attempt may succeed.
    TimeLimit,
}

impl FileError {
    /// Returns the sentence after the file's name.
    pub const fn sentence(self) -> &'static str {
        match self {
            FileError::NotFound => "is not there",
            FileError::Denied => "may not be read by this process",
            FileError::Directory => "is a directory",
            FileError::NotRegular => "is no file",
            FileError::TooLong => "is too long",
            FileError::Unreadable => "cannot be read",
            FileError::TimeLimit => "cannot be read now: its file system does not answer in time",
        }
    }
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => FileError::NotFound,
            io::ErrorKind::PermissionDenied => FileError::Denied,
            _ => FileError::Unreadable,
        }
    }
}

/// Reads a file of at most `max_bytes` within a time limit.
pub fn read(path: &Path, max_bytes: u64, limit: Duration) -> FileReading {
    let path = path.to_owned();
    let read = move || FileReading {
        // A later write counts as a change.
        stamp: FileStamp::of(&path),
        bytes: read_now(&path, max_bytes),
    };
    THREADS
        .run(limit, read)
        .unwrap_or_else(|unfinished| FileReading {
            stamp: None,
            bytes: Err(unfinished.into()),
        })
}

/// Returns the states of files without opening them. `None` for a file that does not exist or whose state cannot be
/// read.
pub fn stamps(paths: Vec<PathBuf>, limit: Duration) -> Result<Vec<Option<FileStamp>>, FileError> {
    let look = move || paths.iter().map(|path| FileStamp::of(path)).collect();
    THREADS.run(limit, look).map_err(FileError::from)
}

impl From<Unfinished> for FileError {
    fn from(unfinished: Unfinished) -> Self {
        match unfinished {
            Unfinished::TimeLimit => FileError::TimeLimit,
            Unfinished::Failed => FileError::Unreadable,
        }
    }
}

/// Reads a file without a time limit.
pub fn read_now(path: &Path, max_bytes: u64) -> Result<Vec<u8>, FileError> {
    let file = open(path)?;
    // The metadata is the opened file's, because the path may already lead to another file.
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(FileError::Directory);
    }
    if !metadata.is_file() {
        return Err(FileError::NotRegular);
    }
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 <= max_bytes {
        true => Ok(bytes),
        false => Err(FileError::TooLong),
    }
}

/// Opens a file without waiting for a pipe's other end or a device.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        // The bits are a C int.
        let flags = flags.bits().cast_signed();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    }
    options.open(path)
}

/// The state of a file, which detects a change without reading the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl FileStamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode: inode(&metadata),
        })
    }

    /// Whether the file has been unchanged for this time.
    pub fn has_rested(&self, rest: Duration) -> bool {
        let age = self.modified.and_then(|modified| modified.elapsed().ok());
        age.is_some_and(|age| age >= rest)
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
const fn inode(_: &Metadata) -> u64 {
    0
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::{Child, Command};
    use std::time::Instant;

    use super::*;

    const MAX: u64 = 1_000;

    fn read_soon(path: &Path) -> Result<Vec<u8>, FileError> {
        let started = Instant::now();
        let reading = read(path, MAX, Duration::from_secs(20));
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{}",
            path.display()
        );
        reading.bytes
    }

    fn pipe(path: &Path) {
        let status = Command::new("mkfifo").arg(path).status().unwrap();
        assert!(status.success());
    }

    /// Starts a process that writes into a pipe without end.
    fn writer(path: &Path) -> Child {
        let copy = format!("exec cat /dev/zero > {}", path.display());
        Command::new("sh").args(["-c", &copy]).spawn().unwrap()
    }

    #[test]
    fn a_regular_file_is_read_up_to_its_size() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(read_soon(&path), Err(FileError::NotFound));
        assert_eq!(read_soon(&link), Err(FileError::NotFound));
        assert_eq!(read_soon(&path.join("below")), Err(FileError::NotFound));
        for length in [0, 1, 999, 1_000] {
            fs::write(&path, vec![b'x'; length]).unwrap();
            for path in [&path, &link] {
                assert_eq!(read_soon(path).map(|bytes| bytes.len()), Ok(length));
            }
        }
        fs::write(&path, [b'x'; 1_001]).unwrap();
        assert_eq!(read_soon(&path), Err(FileError::TooLong));
        // A hole uses no disk space.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read_soon(&path), Err(FileError::TooLong));
    }

    #[test]
    fn a_special_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let [fifo, fed, socket, link] =
            ["fifo", "fed", "socket", "link"].map(|name| directory.path().join(name));
        pipe(&fifo);
        pipe(&fed);
        let mut writer = writer(&fed);
        let _listener = UnixListener::bind(&socket).unwrap();
        symlink("/dev/zero", &link).unwrap();
        let results: Vec<_> = [&fifo, &fed, &link].map(|path| read_soon(path)).into();
        let of_socket = read_soon(&socket);
        writer.kill().unwrap();
        writer.wait().unwrap();
        assert_eq!(results, [const { Err(FileError::NotRegular) }; 3]);
        // A socket cannot be opened.
        assert_eq!(of_socket, Err(FileError::Unreadable));
        for device in ["/dev/zero", "/dev/null", "/dev/tty", "/dev/random"] {
            let result = read_soon(Path::new(device));
            assert!(result.is_err(), "{device}: {result:?}");
        }
        assert_eq!(read_soon(directory.path()), Err(FileError::Directory));
        // The system reports a regular file, which never ends. Not every system has it or allows reading it.
        assert!(read_soon(Path::new("/proc/kmsg")).is_err());
    }

    #[test]
    fn a_file_that_is_replaced_while_it_is_read_is_the_old_or_the_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let [path, new] = ["file", "new"].map(|name| directory.path().join(name));
        fs::write(&path, [b'a'; 1_000]).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..200 {
                    fs::write(&new, [if n % 2 == 0 { b'b' } else { b'a' }; 1_000]).unwrap();
                    fs::rename(&new, &path).unwrap();
                }
            });
            for _ in 0..200 {
                let bytes = read_soon(&path).unwrap();
                assert_eq!(bytes.len(), 1_000);
                assert!(bytes.windows(2).all(|pair| pair[0] == pair[1]));
            }
        });
    }

    #[test]
    fn a_file_that_changes_has_another_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let [path, gone] = ["file", "gone"].map(|name| directory.path().join(name));
        fs::write(&path, "one").unwrap();
        let look = || stamps(vec![path.clone(), gone.clone()], LIMIT * 20).unwrap();
        let before = look();
        assert!(before[0].is_some() && before[1].is_none());
        assert_eq!(read(&path, MAX, LIMIT * 20).stamp, before[0]);
        assert_eq!(look(), before);
        fs::write(&path, "three").unwrap();
        assert_ne!(look(), before);
    }
}
