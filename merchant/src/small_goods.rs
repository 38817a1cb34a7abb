//! Small encrypted goods in memory. They go out with every offer, and never change under their item's id.

use farthing_protocol::ids::ItemId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// The most goods in memory. With the bound of small goods, this is 16 MiB.
const GOODS_MAX: usize = 1024;

/// Small encrypted goods in memory, those that were read last.
#[derive(Default)]
pub(crate) struct SmallGoods(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    goods: BTreeMap<ItemId, Arc<[u8]>>,
    /// The ids, the oldest first.
    order: VecDeque<ItemId>,
}

impl SmallGoods {
    /// The goods of an item, if they are in memory.
    pub(crate) fn get(&self, item_id: &ItemId) -> Option<Arc<[u8]>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.goods.get(item_id).cloned()
    }

    /// Keeps the goods of an item. The oldest ones make room.
    pub(crate) fn keep(&self, item_id: ItemId, goods: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.goods.insert(item_id, goods.into()).is_some() {
            return;
        }
        kept.order.push_back(item_id);
        if kept.order.len() > GOODS_MAX
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.goods.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ItemId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        ItemId(id)
    }

    #[test]
    fn the_oldest_goods_make_room() {
        let small = SmallGoods::default();
        for number in 0..=GOODS_MAX {
            small.keep(id(number), &[number as u8]);
            small.keep(id(number), &[number as u8]);
        }
        assert_eq!(small.get(&id(0)), None);
        assert_eq!(small.get(&id(1)).as_deref(), Some(&[1][..]));
        assert_eq!(small.0.lock().unwrap().order.len(), GOODS_MAX);
    }
}
