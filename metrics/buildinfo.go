package metrics

import "runtime"

// AddBuildInfo adds portsyncd_build_info, which is always 1. Its labels are the given version and
// revision ("" if unknown) and the Go version, operating system and architecture of the binary.
func (s *Set) AddBuildInfo(version, revision string) {
	s.NewIntGauge("portsyncd_build_info",
		"A metric with a constant value of 1, labeled by the version, revision, Go version, operating system and architecture of the daemon.",
		Label{"version", version},
		Label{"revision", revision},
		Label{"goversion", runtime.Version()},
		Label{"goos", runtime.GOOS},
		Label{"goarch", runtime.GOARCH},
	).Set(1)
}
