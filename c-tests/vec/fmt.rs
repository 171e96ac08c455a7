use libtest_mimic::Trial;

pub fn trials(_trials: &mut Vec<Trial>) {}
