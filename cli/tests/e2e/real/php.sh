cat > sysv.php <<'END'
<?php
$shared = shm_attach(0x5a4d0077, 20011, 0600);
shm_put_var($shared, 1, ["a" => 1]);
var_dump(shm_get_var($shared, 1));
shm_remove($shared);
shm_detach($shared);
shm_attach(0x5a4d0078, 20013, 0600);
END
$AUDIT php sysv.php
echo "ended $?"
