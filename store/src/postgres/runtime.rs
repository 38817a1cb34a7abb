//! The thread that drives the connections to a database.

use crate::error::StoreError;
use std::sync::mpsc::sync_channel;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};

/// A runtime of one thread. It drives the connections of one store, whatever thread asks.
pub(crate) struct Driver {
    /// `None` only while this is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Driver {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`StoreError::Disk`] when the operating system gives no thread.
    pub(crate) fn start() -> Result<Self, StoreError> {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .thread_name("store-database")
            .enable_all();
        let runtime = builder
            .build()
            .map_err(StoreError::disk("start the thread of the database"))?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Waits for `work`. Only for a thread that no runtime drives, such as the store's own.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.handle.block_on(work)
    }

    /// Waits for `work` from any thread. `None` if it panicked.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = sync_channel(1);
        // If nobody waits any more, nobody needs the result.
        self.handle.spawn(async move { drop(tell.send(work.await)) });
        told.recv().ok()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last handle of a store may be dropped by a thread of another runtime, which must not block.
            runtime.shutdown_background();
        }
    }
}

/// Runs `work`, which blocks. If a runtime drives this thread, its other tasks move to other threads if they can.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
