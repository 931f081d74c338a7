package switchtest

// WarmPorts is how many ports a switch in these tests has.
const FewPorts = 3

func BoolToInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
