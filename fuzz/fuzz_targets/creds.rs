//! Credentials: results are truncated to the buffers and always NUL-terminated.

use crate::proto;

fuzz_target!(|input: (u8, u8, Option<&[u8]>, Option<&[u8]>, &[u8])| {
    let (user_len, pass_len, authorization, cookie, query) = input;
    let (mut user, mut pass) = (vec![1; usize::from(user_len) + 1], vec![1; usize::from(pass_len) + 1]);
    proto::creds::creds(authorization, cookie, query, &mut user, &mut pass);
    assert!(user.contains(&0) && pass.contains(&0));
    // The same in all the room there may be: a short buffer has the beginning of it. (What is behind that may be malformed.)
    let (mut all_user, mut all_pass) = (vec![1; 4096], vec![1; 4096]);
    proto::creds::creds(authorization, cookie, query, &mut all_user, &mut all_pass);
    for (short, long) in [(&user, &all_user), (&pass, &all_pass)] {
        let text = short.split(|b| *b == 0).next().unwrap();
        let whole = long.split(|b| *b == 0).next().unwrap();
        assert!(text == whole || whole.is_empty() || text.len() == short.len() - 1 && whole.starts_with(text));
    }
});
