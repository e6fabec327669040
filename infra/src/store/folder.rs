//! A local folder as object store: `alluvium dev`, one machine, tests.
//!
//! An object is a file under its key. Every write goes to a file of its own in `.tmp/` first and appears under its key in one
//! step: a hard link for `put_if_absent` (the file system decides the one winner, between processes too), a rename for `put`.
//! A crash leaves at most a file in `.tmp/`, which no listing shows and which a later start removes.
//!
//! Blocking calls run on the runtime's pool for them. As with Kafka's own log, durability against loss of *power* is left to
//! the operating system unless `sync` is on; a killed process loses nothing.

use std::fs;
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;

use super::{ListPage, ObjectInfo, OpenStoreError, PartId, Payload, Store, StoreError, StorePath, UploadId};
use crate::limits::FOLDER_BUFFERS_BYTES_MAX;
use crate::{Buffers, Runtime};

mod upload;

const TEMPORARY_FOLDER: &str = ".tmp";
/// A file in `.tmp/` that is older than this belongs to nobody who lives.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(3600);
/// How often a write makes missing folders and tries again, while somebody else may be removing them.
const FOLDER_ATTEMPTS_MAX: usize = 3;

/// A store in a local folder.
#[derive(Clone, Debug)]
pub struct FolderStore {
    folder: Arc<Folder>,
    runtime: Runtime,
}

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    temporary: PathBuf,
    /// Tells the files of this process apart from those of others.
    writer: String,
    writes: AtomicU64,
    sync: bool,
    buffers: Buffers,
}

impl FolderStore {
    /// Opens (and makes, when needed) the folder `root`, checks that it can be written and clears what a crash left.
    /// With `sync`, each write is on the disk before it is answered.
    pub fn open(root: impl Into<PathBuf>, sync: bool, runtime: &Runtime) -> Result<FolderStore, OpenStoreError> {
        let root = root.into();
        let refused = |error: &io::Error| OpenStoreError::Folder {
            folder: root.display().to_string(),
            reason: match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "permission denied; give the user that runs alluvium write access, or choose another folder"
                        .to_owned()
                }
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                    "there is a file in its place".to_owned()
                }
                _ => error.to_string(),
            },
        };
        let temporary = root.join(TEMPORARY_FOLDER);
        fs::create_dir_all(&temporary).map_err(|error| refused(&error))?;
        let folder = Folder {
            root: root.clone(),
            temporary,
            writer: runtime.unique_uuid().simple().to_string(),
            writes: AtomicU64::new(0),
            sync: false,
            buffers: Buffers::new(FOLDER_BUFFERS_BYTES_MAX),
        };
        let trial = folder.temporary_file();
        fs::write(&trial, b"alluvium").and_then(|()| fs::remove_file(&trial)).map_err(|error| refused(&error))?;
        folder.remove_abandoned(runtime.now_ms());
        Ok(FolderStore { folder: Arc::new(Folder { sync, ..folder }), runtime: runtime.clone() })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folder) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let folder = Arc::clone(&self.folder);
        match self.runtime.spawn_blocking(move || work(&folder)).await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Other(format!("a file operation did not finish: {error}"))),
        }
    }
}

/// How a written file takes its place.
#[derive(Clone, Copy)]
enum Placing {
    IfAbsent,
    Replacing,
}

impl Folder {
    fn temporary_file(&self) -> PathBuf {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        self.temporary.join(format!("{}-{number}", self.writer))
    }

    fn remove_abandoned(&self, now_ms: i64) {
        let Ok(entries) = fs::read_dir(&self.temporary) else {
            return;
        };
        for entry in entries.flatten() {
            let age_ms = entry.metadata().map_or(0, |metadata| now_ms - modified_ms(&metadata));
            if age_ms > TEMPORARY_AGE_MAX.as_millis() as i64 {
                // Another process that starts now may have been faster.
                let _gone = fs::remove_file(entry.path());
            }
        }
    }

    fn file_of(&self, path: &StorePath) -> PathBuf {
        self.root.join(path.as_str())
    }

    fn write(&self, path: &StorePath, payload: &Payload, placing: Placing) -> Result<(), StoreError> {
        let target = self.file_of(path);
        if matches!(placing, Placing::IfAbsent) && target.exists() {
            return Err(StoreError::AlreadyExists);
        }
        let temporary = self.temporary_file();
        let placed = write_file(&temporary, payload, self.sync)
            .or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    fs::create_dir_all(&self.temporary)?;
                    write_file(&temporary, payload, self.sync)
                }
                _ => Err(error),
            })
            .and_then(|()| self.place(&temporary, &target, placing));
        if placed.is_err() || matches!(placing, Placing::IfAbsent) {
            // The object has its own name now, or never gets one; a leftover is removed at a later start.
            let _leftover = fs::remove_file(&temporary);
        }
        placed.map_err(|error| self.placing_error(&error, path))?;
        self.sync_parent(&target, path)
    }

    fn placing_error(&self, error: &io::Error, path: &StorePath) -> StoreError {
        match error.kind() {
            io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
                StoreError::Unsupported(format!("{path}: one key goes on from another with a slash"))
            }
            _ => self.error(error, path),
        }
    }

    fn sync_parent(&self, target: &Path, path: &StorePath) -> Result<(), StoreError> {
        if self.sync
            && let Some(parent) = target.parent()
        {
            fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(|error| self.error(&error, path))?;
        }
        Ok(())
    }

    fn place(&self, temporary: &Path, target: &Path, placing: Placing) -> io::Result<()> {
        let mut attempts = 0;
        loop {
            let placed = match placing {
                Placing::IfAbsent => fs::hard_link(temporary, target),
                Placing::Replacing => fs::rename(temporary, target),
            };
            attempts += 1;
            match (placed, target.parent()) {
                (Err(error), Some(parent))
                    if error.kind() == io::ErrorKind::NotFound && attempts < FOLDER_ATTEMPTS_MAX =>
                {
                    fs::create_dir_all(parent)?;
                }
                (placed, _) => return placed,
            }
        }
    }

    fn read(&self, path: &StorePath) -> Result<Bytes, StoreError> {
        let mut file = fs::File::open(self.file_of(path)).map_err(|error| self.error(&error, path))?;
        let length = file.metadata().map_err(|error| self.error(&error, path))?.len();
        self.read_exactly(&mut file, path, length)
    }

    fn read_range(&self, path: &StorePath, range: &Range<u64>) -> Result<Bytes, StoreError> {
        let mut file = fs::File::open(self.file_of(path)).map_err(|error| self.error(&error, path))?;
        // Files are immutable under their key, so the length decides before anything is allocated.
        let length = file.metadata().map_err(|error| self.error(&error, path))?.len();
        let expected = range.end.saturating_sub(range.start);
        if range.end > length || range.start > range.end {
            let actual = length.saturating_sub(range.start);
            return Err(StoreError::Truncated { path: path.clone(), expected, actual });
        }
        file.seek(SeekFrom::Start(range.start)).map_err(|error| self.error(&error, path))?;
        self.read_exactly(&mut file, path, expected)
    }

    fn read_exactly(&self, file: &mut fs::File, path: &StorePath, expected: u64) -> Result<Bytes, StoreError> {
        let capacity = usize::try_from(expected).map_err(|error| StoreError::Other(error.to_string()))?;
        let mut bytes = self.buffers.take(capacity);
        file.take(expected).read_to_end(&mut bytes).map_err(|error| self.error(&error, path))?;
        if bytes.len() as u64 != expected {
            return Err(StoreError::Truncated { path: path.clone(), expected, actual: bytes.len() as u64 });
        }
        Ok(self.buffers.lend(bytes))
    }

    fn delete(&self, path: &StorePath) -> Result<(), StoreError> {
        match fs::remove_file(self.file_of(path)) {
            Err(error) if !is_missing(&error) => Err(self.error(&error, path)),
            _ => Ok(()),
        }
    }

    fn list(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        let mut walk = Walk { prefix, start_after: start_after.unwrap_or(""), limit, page: ListPage::default() };
        walk.enter(&self.root, "").map_err(|error| self.error_at(&error, &self.root))?;
        Ok(walk.page)
    }

    fn error(&self, error: &io::Error, path: &StorePath) -> StoreError {
        self.error_at(error, &self.file_of(path))
    }

    fn error_at(&self, error: &io::Error, file: &Path) -> StoreError {
        const OPERATION_NOT_PERMITTED: i32 = 1;
        let root = self.root.display();
        match error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::AlreadyExists,
            _ if is_missing(error) => StoreError::NotFound,
            io::ErrorKind::PermissionDenied if error.raw_os_error() == Some(OPERATION_NOT_PERMITTED) => {
                StoreError::Unsupported(format!("the file system of {root} has no hard links"))
            }
            io::ErrorKind::PermissionDenied => {
                StoreError::PermissionDenied(format!("{} (in the folder {root})", file.display()))
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                StoreError::PermissionDenied(format!("{root} is on a read-only file system"))
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Unavailable(format!("the disk that holds {root} is full"))
            }
            io::ErrorKind::Unsupported => {
                StoreError::Unsupported(format!("the file system of {root} has no hard links"))
            }
            io::ErrorKind::Interrupted | io::ErrorKind::StaleNetworkFileHandle => {
                StoreError::Unavailable(format!("{}: {error}", file.display()))
            }
            _ => match error.raw_os_error() {
                // EMFILE and ENFILE: too many open files, here or on the whole machine.
                Some(23 | 24) => {
                    StoreError::Unavailable(format!("{root}: too many open files (raise the limit with ulimit -n)"))
                }
                _ => StoreError::Other(format!("{}: {error}", file.display())),
            },
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory)
}

fn write_file(file: &Path, payload: &Payload, sync: bool) -> io::Result<()> {
    let mut file = fs::File::options().write(true).create_new(true).open(file)?;
    let mut slices: Vec<IoSlice<'_>> = payload.0.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if sync { file.sync_all() } else { Ok(()) }
}

fn modified_ms(metadata: &fs::Metadata) -> i64 {
    let since_epoch = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since_epoch.map_or(0, |elapsed| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
}

/// A walk over the folders in the byte order of the whole keys, which enters only what can hold a wanted key.
struct Walk<'a> {
    prefix: &'a str,
    start_after: &'a str,
    limit: usize,
    page: ListPage,
}

impl Walk<'_> {
    /// `above` is empty or ends with a slash. Returns false when the page is full.
    fn enter(&mut self, folder: &Path, above: &str) -> io::Result<bool> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if is_missing(&error) => return Ok(true),
            Err(error) => return Err(error),
        };
        // A folder sorts as its name with the slash behind it, because the keys inside do.
        let mut keys = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                continue;
            };
            let is_folder = entry.file_type()?.is_dir();
            let key = if is_folder { format!("{above}{name}/") } else { format!("{above}{name}") };
            if self.may_hold(&key, is_folder) {
                keys.push((key, is_folder, entry));
            }
        }
        keys.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        for (key, is_folder, entry) in keys {
            let goes_on = if is_folder { self.enter(&entry.path(), &key)? } else { self.take(key, &entry)? };
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn may_hold(&self, key: &str, is_folder: bool) -> bool {
        if is_folder {
            let inside_prefix = key.starts_with(self.prefix) || self.prefix.starts_with(key);
            inside_prefix && (key > self.start_after || self.start_after.starts_with(key))
        } else {
            key.starts_with(self.prefix) && key > self.start_after
        }
    }

    fn take(&mut self, key: String, entry: &fs::DirEntry) -> io::Result<bool> {
        let Ok(path) = StorePath::parse(key) else {
            return Ok(true);
        };
        if self.page.objects.len() == self.limit {
            self.page.truncated = true;
            return Ok(false);
        }
        match entry.metadata() {
            Ok(metadata) => {
                let last_modified_ms = modified_ms(&metadata);
                self.page.objects.push(ObjectInfo { path, size: metadata.len(), last_modified_ms });
                Ok(true)
            }
            // Deleted since its folder was read.
            Err(error) if is_missing(&error) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Store for FolderStore {
    async fn put_if_absent(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        let path = path.clone();
        self.blocking(move |folder| folder.write(&path, &payload, Placing::IfAbsent)).await
    }

    async fn put(&self, path: &StorePath, payload: Payload) -> Result<(), StoreError> {
        let path = path.clone();
        self.blocking(move |folder| folder.write(&path, &payload, Placing::Replacing)).await
    }

    async fn get(&self, path: &StorePath) -> Result<Bytes, StoreError> {
        let path = path.clone();
        self.blocking(move |folder| folder.read(&path)).await
    }

    async fn get_range(&self, path: &StorePath, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = path.clone();
        self.blocking(move |folder| folder.read_range(&path, &range)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&str>, limit: usize) -> Result<ListPage, StoreError> {
        let (prefix, start_after) = (prefix.to_owned(), start_after.map(str::to_owned));
        self.blocking(move |folder| folder.list(&prefix, start_after.as_deref(), limit)).await
    }

    async fn delete(&self, path: &StorePath) -> Result<(), StoreError> {
        let path = path.clone();
        self.blocking(move |folder| folder.delete(&path)).await
    }

    async fn begin_upload(&self, path: &StorePath) -> Result<UploadId, StoreError> {
        let path = path.clone();
        self.blocking(move |folder| folder.begin_upload(&path)).await
    }

    async fn put_part(
        &self,
        path: &StorePath,
        upload: &UploadId,
        index: usize,
        payload: Payload,
    ) -> Result<PartId, StoreError> {
        let (path, upload) = (path.clone(), upload.clone());
        self.blocking(move |folder| folder.put_part(&path, &upload, index, &payload)).await
    }

    async fn finish_upload(&self, path: &StorePath, upload: &UploadId, parts: &[PartId]) -> Result<(), StoreError> {
        let (path, upload, parts) = (path.clone(), upload.clone(), parts.to_vec());
        self.blocking(move |folder| folder.finish_upload(&path, &upload, &parts)).await
    }

    async fn abort_upload(&self, path: &StorePath, upload: &UploadId) -> Result<(), StoreError> {
        let (path, upload) = (path.clone(), upload.clone());
        self.blocking(move |folder| folder.abort_upload(&path, &upload)).await
    }

    fn clock_ms(&self) -> Option<i64> {
        Some(self.runtime.now_ms())
    }

    fn describe(&self) -> String {
        let durability = if self.folder.sync { ", synced to the disk on each write" } else { "" };
        format!("the folder {}{durability}", self.folder.root.display())
    }
}

#[cfg(test)]
mod tests;
