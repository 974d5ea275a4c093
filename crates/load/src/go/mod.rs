//! Go's spellings, which fortio's command line and reports are written in: numbers, durations, flags.
//! What the flags mean is in `command_line`; what the numbers say is in `report`.

pub mod duration;
pub mod flag;
pub mod number;
