//! The memory store passes the battery; it is also its model, so that here the model is compared with itself.

use std::sync::Arc;

use sward::webhook::store::MemoryStore;

use crate::battery;

macro_rules! on_memory {
    ($subject:ident::$case:ident) => {
        #[test]
        fn $case() {
            battery::run(|| Arc::new(MemoryStore::new()), battery::$subject::$case);
        }
    };
}
battery::each_case!(on_memory);
