# SPDX-License-Identifier: BSD-2-Clause
# usage: work.pl N: hashes, sorting, regular expressions and calls, N rounds.
use strict;

sub mix { my ($x) = @_; return ($x * 1103515245 + 12345) % 2147483648; }

for my $round (1 .. $ARGV[0]) {
	my (%count, @lines);
	my $seed = $round;
	for (1 .. 1500) {
		$seed = mix($seed);
		my $word = "w" . ($seed % 997);
		$count{$word} += length $word;
		push @lines, "$word=$seed;";
	}
	my $text = join " ", sort @lines;
	my $found = 0;
	while ($text =~ /w(\d+)=(\d+);/g) { $found += $1 if $2 % 3 == 0; }
	$text =~ s/(\d)(\d)/$2$1/g;
	my @order = sort { $count{$a} <=> $count{$b} || $a cmp $b } keys %count;
}
