cat > sysv.pl <<'END'
use IPC::SysV qw(IPC_PRIVATE IPC_RMID S_IRUSR S_IWUSR);
use IPC::SharedMem;
my $id = shmget(IPC_PRIVATE, 2001, 0600) // die;
shmwrite($id, "hello", 0, 5);
shmread($id, my $read, 0, 5);
print "$read\n";
shmctl($id, IPC_RMID, 0) or die;
my $shared = IPC::SharedMem->new(IPC_PRIVATE, 2003, S_IRUSR | S_IWUSR) or die;
$shared->attach;
$shared->write(pack("A4", "test"), 0, 4);
print $shared->read(0, 4), " ", $shared->stat->nattch, "\n";
$shared->detach;
$shared->remove or die;
shmget(IPC_PRIVATE, 2005, 0600) // die;
END
$AUDIT perl sysv.pl
echo "ended $?"
