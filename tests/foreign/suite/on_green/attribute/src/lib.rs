//! `fn name() { body }` becomes `#[test] fn name() { on_green::run(|| { body }) }`. Nothing else is touched, so nothing
//! is parsed: the body is the last group of tokens.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// Puts the body of a test on a green thread.
#[proc_macro_attribute]
pub fn test(_: TokenStream, function: TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = function.into_iter().collect();
    let Some(TokenTree::Group(body)) = tokens.pop() else { panic!("not a function") };
    assert_eq!(body.delimiter(), Delimiter::Brace, "not a function");
    let closure: TokenStream = "||".parse().expect("Rust");
    let closure = closure.into_iter().chain([TokenTree::Group(body)]).collect();
    let argument = TokenTree::Group(Group::new(Delimiter::Parenthesis, closure));
    let call: TokenStream = "::on_green::run".parse().expect("Rust");
    let call = call.into_iter().chain([argument]).collect();
    let whole: TokenStream = "#[::core::prelude::v1::test]".parse().expect("Rust");
    let call = TokenTree::Group(Group::new(Delimiter::Brace, call));
    whole.into_iter().chain(tokens).chain([call]).collect()
}
