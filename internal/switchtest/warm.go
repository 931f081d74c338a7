package switchtest

// WarmPorts is how many ports a switch in these tests has.
const WarmPorts = 3

func Bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
