package daemon

import "runtime/debug"

// Release is the version of portsyncd. It can be set with the linker flag -X
// portsyncd/internal/daemon.Release=VERSION.
var Release = "0.2.0"

// commit is the source commit of a build from an archive, which has no VCS information. It is set
// with the linker flag -X portsyncd/internal/daemon.commit=COMMIT.
var commit string

// Revision returns the source commit of this binary, or "unknown".
func Revision() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
