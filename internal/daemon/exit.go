package daemon

// Exit statuses. The daemon itself ends by the signal that asked it to: status
// 0 would tell SONiC's supervisor that all is well.
const (
	ExitOK    = 0
	ExitError = 1
)
