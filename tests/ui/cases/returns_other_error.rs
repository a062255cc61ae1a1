//! A handler whose error cannot be sent.

use sward::http::{Request, Router};

fn number(req: &mut Request<'_>) -> Result<String, std::num::ParseIntError> {
    let n: u32 = req.path().parse()?;
    Ok(n.to_string())
}

fn main() {
    let _ = Router::new().get("/", number);
}
