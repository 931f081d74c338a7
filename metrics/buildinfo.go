package metrics

import "runtime"

// AddBuildInfo adds portsyncd_build_info, which is always 1 and tells in its
// labels what is running. An unknown version or revision is "".
func (s *Set) AddBuildInfo(version, revision string) {
	s.NewIntGauge("portsyncd_build_info",
		"Always 1. The labels tell which build is running.",
		Label{"version", version},
		Label{"revision", revision},
		Label{"goversion", runtime.Version()},
		Label{"goos", runtime.GOOS},
		Label{"goarch", runtime.GOARCH},
	).Set(1)
}
