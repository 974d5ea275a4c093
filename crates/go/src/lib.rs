//! Go's spellings, which the tools that people know are written in: durations, numbers, flags. fortio's command line and
//! reports and go-httpbin's parameters and error texts use them; what a flag or a number means is each user's business.

pub mod duration;
pub mod flag;
pub mod number;
