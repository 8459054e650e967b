//! The deliveries that run in this process.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::DeliveryId;

use crate::panics::lock;

/// A delivery runs at most once in a process, even if the store returns it twice.
#[derive(Clone, Default)]
pub struct Running {
    deliveries: Arc<Mutex<HashSet<DeliveryId>>>,
    is_released: Arc<AtomicBool>,
}

impl Running {
    /// Registers a delivery until the value is dropped; `None`: it runs already.
    pub fn start(&self, delivery: DeliveryId) -> Option<RunningDelivery> {
        let is_new = self.lock().insert(delivery.clone());
        is_new.then(|| RunningDelivery {
            running: self.clone(),
            delivery,
        })
    }

    pub fn contains(&self, delivery: &DeliveryId) -> bool {
        self.lock().contains(delivery)
    }

    /// Releases all deliveries of the process: no attempt begins after this.
    pub fn release(&self) {
        self.is_released.store(true, Ordering::Relaxed);
    }

    pub fn is_released(&self) -> bool {
        self.is_released.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<DeliveryId>> {
        lock(&self.deliveries)
    }
}

/// A delivery that runs.
pub struct RunningDelivery {
    running: Running,
    delivery: DeliveryId,
}

impl RunningDelivery {
    pub fn id(&self) -> &DeliveryId {
        &self.delivery
    }
}

impl Drop for RunningDelivery {
    fn drop(&mut self) {
        self.running.lock().remove(&self.delivery);
    }
}
