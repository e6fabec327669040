//! Objects in parts: a file in `.tmp/` that parts are written into at their place, and that takes its key in the end.
//!
//! What must stay true: a part is where its index says; the file takes its key only when it has the length that its parts have
//! together. Uploads that were left behind are removed as all else in `.tmp/`.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::{Folder, PartId, Payload, Placing, StoreError, StorePath, UploadId};
use crate::limits::UPLOAD_PART_BYTES;
use crate::store::upload::{check_lengths, foreign_part, unknown_upload};

impl Folder {
    pub(super) fn begin_upload(&self, path: &StorePath) -> Result<UploadId, StoreError> {
        let file = self.temporary_file();
        let make = || fs::File::options().write(true).create_new(true).open(&file);
        make()
            .or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    fs::create_dir_all(&self.temporary)?;
                    make()
                }
                _ => Err(error),
            })
            .map_err(|error| self.error(&error, path))?;
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        Ok(UploadId(name.to_owned()))
    }

    pub(super) fn put_part(
        &self,
        path: &StorePath,
        upload: &UploadId,
        index: usize,
        payload: &Payload,
    ) -> Result<PartId, StoreError> {
        let length = payload.len();
        if length > UPLOAD_PART_BYTES {
            return Err(StoreError::Unsupported(format!("a part of {length} bytes")));
        }
        let file = fs::File::options().write(true).open(self.upload_file(upload)?);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unknown_upload(upload),
            _ => self.error(&error, path),
        })?;
        let mut position = (index * UPLOAD_PART_BYTES) as u64;
        for bytes in &payload.0 {
            write_at(&file, bytes, position).map_err(|error| self.error(&error, path))?;
            position += bytes.len() as u64;
        }
        Ok(PartId(format!("{index}:{length}")))
    }

    pub(super) fn finish_upload(
        &self,
        path: &StorePath,
        upload: &UploadId,
        parts: &[PartId],
    ) -> Result<(), StoreError> {
        let length_of = |(index, part): (usize, &PartId)| {
            let length = part.0.strip_prefix(&format!("{index}:")).and_then(|length| length.parse().ok());
            length.ok_or_else(|| foreign_part(index))
        };
        let lengths: Vec<u64> = parts.iter().enumerate().map(length_of).collect::<Result<_, _>>()?;
        check_lengths(UPLOAD_PART_BYTES, lengths.iter().copied())?;
        let (temporary, target) = (self.upload_file(upload)?, self.file_of(path));
        let file = match fs::File::open(&temporary) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(unknown_upload(upload)),
            Err(error) => return Err(self.error(&error, path)),
        };
        let (expected, actual) =
            (lengths.iter().sum(), file.metadata().map_err(|error| self.error(&error, path))?.len());
        if actual != expected {
            return Err(StoreError::Truncated { path: path.clone(), expected, actual });
        }
        if self.sync {
            file.sync_all().map_err(|error| self.error(&error, path))?;
        }
        self.place(&temporary, &target, Placing::Replacing).map_err(|error| self.placing_error(&error, path))?;
        self.sync_parent(&target, path)
    }

    pub(super) fn abort_upload(&self, path: &StorePath, upload: &UploadId) -> Result<(), StoreError> {
        match fs::remove_file(self.upload_file(upload)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.error(&error, path)),
            _ => Ok(()),
        }
    }

    /// An id is a file's name in `.tmp/` and nothing else.
    fn upload_file(&self, upload: &UploadId) -> Result<PathBuf, StoreError> {
        let is_name = !upload.0.is_empty() && upload.0.chars().all(|char| char.is_ascii_alphanumeric() || char == '-');
        if is_name { Ok(self.temporary.join(&upload.0)) } else { Err(unknown_upload(upload)) }
    }
}

#[cfg(unix)]
fn write_at(file: &fs::File, bytes: &[u8], position: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, position)
}

#[cfg(not(unix))]
fn write_at(mut file: &fs::File, bytes: &[u8], position: u64) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    // Each call has a handle of its own, so that no other one moves its position.
    file.seek(SeekFrom::Start(position))?;
    file.write_all(bytes)
}
