# Makes one table of what "go test -bench -benchmem" prints, a row as soon as its
# benchmark has ended. Where a group of benchmarks begins with "portsyncd", the
# others are our peers, and "times" says how many times as long they take. What
# is no benchmark is printed as it is, but for the lines that only frame them.

BEGIN {
	format = "%-66s %12s %6s %9s %9s  %s\n"
	printf format, "benchmark", "ns/op", "times", "B/op", "allocs/op", "besides"
}

/^(goos|goarch|cpu|PASS)/ || /no test files/ || /^ok / { next }

/^pkg: / { sub(/^portsyncd\/?/, "", $2); package = $2; next }

/^Benchmark/ && NF >= 4 {
	name = $1
	sub(/^Benchmark/, "", name)
	sub(/-[0-9]+$/, "", name) # GOMAXPROCS
	delete value
	besides = ""
	for (i = 3; i < NF; i += 2) {
		value[$(i + 1)] = $i
		if ($(i + 1) !~ /^(ns|B|allocs)\/op$/) besides = besides "  " $i " " $(i + 1)
	}
	group = name
	who = ""
	if (match(name, /\/[^\/]*$/)) {
		group = substr(name, 1, RSTART - 1)
		who = substr(name, RSTART + 1)
	}
	key = package "." group
	times = ""
	if (who == "portsyncd") ours[key] = value["ns/op"]
	if (key in ours) times = sprintf("%.1f", value["ns/op"] / ours[key])
	printf format, package "." name, value["ns/op"], times, value["B/op"], value["allocs/op"], substr(besides, 3)
	fflush()
	next
}

/^Benchmark/ { next } # the name that some output has cut off from its figures

{ print; fflush() }
